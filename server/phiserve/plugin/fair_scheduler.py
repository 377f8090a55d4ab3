"""vLLM's scheduler, fair between owners: in who begins next, in places to run in, and in steps."""

from collections import Counter
from collections.abc import Set
from time import monotonic, sleep
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
"""Tokens of a prompt of which a step with others in it, or one of batch work, reads no more."""

COMPANY_S = 1.0
"""Seconds after which nobody else is expected any more: until then, a step stays short for who comes next."""

BATCH_STEP_S = 0.04
"""Seconds that a step that reads batch work's prompts should take while others are expected."""

LEAST_CHUNK = 32
"""Tokens of prompts that such a step may read in any case: fewer hardly make it shorter."""

GRACE_S = 0.02
"""Seconds that batch work waits once nothing else is left: who asks one request after the other has sent the
next by then, and it meets no step."""

_PAUSE_S = 0.001

_SLOWER = 1.1
"""How much slower than before one step may tell that prompts are read."""


class FairScheduler(Scheduler):
    """Takes turns between owners, and shares steps between them. Hardly costs while there is one owner."""

    waiting: FairRequestQueue
    max_num_scheduled_tokens: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting = FairRequestQueue(self.max_num_active_reqs)
        self._shares = StepShares()
        self._pace = PromptPace()
        self._step_began = 0.0
        self._had_company = self._had_interactive = float("-inf")
        self._longest_step = self.max_num_scheduled_tokens
        self._is_interactive = self.steps_are_short = self.nobody_waits = False

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Schedule a step as vLLM does, without those who are left out of it."""
        self._step_began = monotonic()
        running = Counter(map(line_of, self.running))
        self.waiting.begin_step(running, frozenset())
        lines = {*running, *filter(self.waiting.may_begin, self.waiting.lines)}
        weights = self._weights(lines)
        if weights:
            self._had_company = self._step_began
        self.steps_are_short = self._step_began - self._had_company < COMPANY_S
        self._is_interactive = any(line.priority <= 0 for line in lines)
        self.nobody_waits = bool(lines) and not self._is_interactive and not self.steps_are_short
        left_out = self._shares.left_out(weights)
        if self._awaits_others(lines):
            left_out = frozenset(lines)
            sleep(_PAUSE_S)
        self.max_num_scheduled_tokens = self._most_tokens(lines - left_out)
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
        tokens = scheduler_output.total_num_scheduled_tokens
        seconds = monotonic() - self._step_began if tokens else 0.0
        if self._is_interactive:
            self._had_interactive = monotonic()
        self._shares.took(seconds)
        self._pace.took(tokens, seconds)
        self.waiting.forget_idle(nothing_runs=not self.running)
        return outputs

    def _awaits_others(self, lines: Set[Line]) -> bool:
        """Whether all that could be done is batch work, and interactive work has only just ended."""
        is_batch_alone = bool(lines) and not self._is_interactive
        return is_batch_alone and self._step_began - self._had_interactive < GRACE_S

    def _most_tokens(self, lines: Set[Line]) -> int:
        """How many tokens a step of these lines may have."""
        has_batch = any(line.priority > 0 for line in lines)
        if not has_batch and not self.steps_are_short:
            return self._longest_step
        longest = min(self._longest_step, LONGEST_CHUNK)
        if not has_batch or not self.steps_are_short:
            return longest
        return min(longest, len(self.running) + max(LEAST_CHUNK, self._pace.tokens_in(BATCH_STEP_S)))

    def _weights(self, lines: Set[Line]) -> dict[Line, float]:
        """What each line would add to the next step, in sequences; none while there is one line."""
        if len(lines) < 2:
            return {}
        weights: dict[Line, float] = dict.fromkeys(lines, 0.0)
        for request in self.running:
            weights[line_of(request)] += _weight(request)
        for line in self.waiting.lines:
            if self.waiting.may_begin(line):
                weights[line] += _weight(self.waiting.head(line))
        return weights


class PromptPace:
    """How fast prompts are read here, as long steps tell."""

    def __init__(self) -> None:
        self._token_s = 0.0

    def took(self, tokens: int, seconds: float) -> None:
        """Count a step. Short ones do not tell, and those that encode images take longer than tokens do."""
        if tokens >= LONGEST_CHUNK // 2:
            token_s = seconds / tokens
            self._token_s = min(token_s, self._token_s * _SLOWER) if self._token_s else token_s

    def tokens_in(self, seconds: float) -> int:
        """How many tokens are read in so many seconds; as many as a step may have where nothing is known."""
        return int(seconds / self._token_s) if self._token_s else LONGEST_CHUNK


def _weight(request: Request) -> float:
    """What a request adds to a step, in sequences."""
    unread = request.num_tokens - request.num_computed_tokens
    return max(1.0, min(unread, LONGEST_CHUNK) / PREFILL_TOKENS)
