"""What runs in the engine that `rope_steps` measures: factors by length in every other block of steps."""

import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.engine import EngineCoreOutputs
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.worker.cpu_model_runner import CPUModelRunner

from phiserve.plugin.length_runner import LengthRunner
from phiserve.plugin.scheduler import PartialEncodingScheduler
from phiserve.plugin.worker import PhiserveCPUWorker

TIMES = "ROPE_STEPS_FILE"
"""Environment variable with the file that times go into, one block of steps a line."""

STREAMS = "ROPE_STEPS_STREAMS"
"""Environment variable with the number of sequences in the steps that count."""

BLOCK = 10
"""Steps in a row with, then as many without."""

_RUNNERS: list[CPUModelRunner] = []
"""The runner of this process, where the scheduler finds it: on CPU both live in one process."""


class RememberedWorker(PhiserveCPUWorker):
    """Shows its runner to the scheduler."""

    def load_model(self, *, load_dummy_weights: bool = False) -> None:
        """Load the model as always."""
        super().load_model(load_dummy_weights=load_dummy_weights)
        _RUNNERS.append(self.model_runner)


class AlternatingScheduler(PartialEncodingScheduler):
    """Chooses factors by length, or leaves vLLM's as they are, in turn; the text is of no interest here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._chosen_at = self._short_tokens
        self._streams, self._times = int(os.environ[STREAMS]), Path(os.environ[TIMES])
        self._block: list[float] = []
        self._chooses = True
        self._began = 0.0

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Begin a step, and take its time from here."""
        self._short_tokens = self._chosen_at if self._chooses else None
        _RUNNERS[0].__class__ = LengthRunner if self._chooses else CPUModelRunner
        self._began = perf_counter()
        return super().schedule(throttle_prefills)

    def update_from_output(
        self, scheduler_output: SchedulerOutput, model_runner_output: ModelRunnerOutput
    ) -> dict[int, EngineCoreOutputs]:
        """End a step, to here; one of other than all streams' next tokens does not count."""
        outputs = super().update_from_output(scheduler_output, model_runner_output)
        took_s = perf_counter() - self._began
        lengths = [*scheduler_output.num_scheduled_tokens.values()]
        if lengths == [1] * self._streams:
            self._block.append(took_s)
        if len(self._block) == BLOCK:
            with self._times.open("a", encoding="utf-8") as file:
                file.write(json.dumps([self._chooses, self._block]) + "\n")
            self._block, self._chooses = [], not self._chooses
        return outputs
