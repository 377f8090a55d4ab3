"""vLLM's scheduler, fair between owners: in who begins next, in places to run in, and in steps."""

from collections import Counter
from time import monotonic
from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import EngineCoreOutputs
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

from phiserve.plugin.fair_queue import FairRequestQueue, line_of
from phiserve.plugin.step_shares import StepShares
from phiserve.turns import Line

PREFILL_TOKENS = 8
"""Tokens of a prompt that lengthen a step as one more sequence does."""

LONGEST_CHUNK = 512
"""Tokens of a prompt of which a step with others in it reads no more."""

COMPANY_S = 1.0
"""Seconds after which nobody else is expected any more: until then, a step stays short for who comes next."""


class FairScheduler(Scheduler):
    """Takes turns between owners, and shares steps between them. Hardly costs while there is one owner."""

    waiting: FairRequestQueue
    max_num_scheduled_tokens: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting = FairRequestQueue(self.max_num_active_reqs)
        self._shares = StepShares()
        self._step_began = 0.0
        self._had_company = float("-inf")
        self._longest_step = self.max_num_scheduled_tokens
        self.steps_are_short = False

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Schedule a step as vLLM does, without those who are left out of it."""
        self._step_began = monotonic()
        running = Counter(map(line_of, self.running))
        self.waiting.begin_step(running, frozenset())
        weights = self._weights(running)
        if weights:
            self._had_company = self._step_began
        self.steps_are_short = self._step_began - self._had_company < COMPANY_S
        self.max_num_scheduled_tokens = (
            min(self._longest_step, LONGEST_CHUNK) if self.steps_are_short else self._longest_step
        )
        left_out = self._shares.left_out(weights)
        if left_out:
            for request in self.running:
                if line_of(request) in left_out:
                    request.next_decode_eligible_step = self.current_step + 2
        self.waiting.begin_step(running, left_out)
        return super().schedule(throttle_prefills)

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, EngineCoreOutputs]:
        """As vLLM does; then the step is over, and counted."""
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        is_empty = not scheduler_output.total_num_scheduled_tokens
        self._shares.took(0.0 if is_empty else monotonic() - self._step_began)
        self.waiting.forget_idle(nothing_runs=not self.running)
        return outputs

    def _weights(self, running: Counter[Line]) -> dict[Line, float]:
        """What each line would add to the next step, in sequences; none while there is one line."""
        waiting = [line for line in self.waiting.lines if self.waiting.may_begin(line)]
        lines = {*waiting, *running}
        if len(lines) < 2:
            return {}
        weights: dict[Line, float] = dict.fromkeys(lines, 0.0)
        for request in self.running:
            weights[line_of(request)] += _weight(request)
        for line in waiting:
            weights[line] += _weight(self.waiting.head(line))
        return weights


def _weight(request: Request) -> float:
    """What a request adds to a step, in sequences."""
    unread = request.num_tokens - request.num_computed_tokens
    return max(1.0, min(unread, LONGEST_CHUNK) / PREFILL_TOKENS)
