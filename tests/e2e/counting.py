"""vLLM's worker, counting what it is not asked about: crops that go through CLIP, and who is in a step."""

from typing import Any

import torch
from vllm.v1.core.sched.output import SchedulerOutput

from phiserve.plugin.partial_encoding import PARTIAL_ENCODER
from phiserve.plugin.worker import PhiserveCPUWorker


class CountingWorker(PhiserveCPUWorker):
    """Named in a server's settings as `worker_cls`; asked by `collective_rpc("clip_crops")`."""

    def load_model(self, *arguments: Any, **options: Any) -> None:
        """As always, with a counter in front of the vision tower's first layer."""
        super().load_model(*arguments, **options)
        tower = self.model_runner.get_model().vision_embed_tokens
        self._clip_crops = self._clip_passes = 0
        self._steps: list[list[str]] = []

        def count(_: torch.nn.Module, arguments: tuple[torch.Tensor]) -> None:
            self._clip_crops += len(arguments[0])
            self._clip_passes += 1

        tower.img_processor.vision_model.embeddings.register_forward_pre_hook(count)

    def execute_model(self, scheduler_output: SchedulerOutput) -> Any:
        """As always."""
        self._steps.append(list(scheduler_output.num_scheduled_tokens))
        return super().execute_model(scheduler_output)

    def steps(self) -> list[list[str]]:
        """The requests in each step since this was asked last."""
        steps, self._steps = self._steps, []
        return steps

    def clip_crops(self) -> int:
        """Crops seen since the start, global views among them."""
        return self._clip_crops

    def images_under_way(self) -> int:
        """Images that are kept, encoded whole or in part, for requests that have not read them yet."""
        return len(PARTIAL_ENCODER.images)

    def slice_encoding(self, slice_s: float) -> float:
        """Encode for at most so many seconds before a step from now on. What it was before."""
        before = PARTIAL_ENCODER.slice_s
        PARTIAL_ENCODER.start(self.model_runner.get_model().clip_parts, slice_s)
        return before

    def clip_passes(self) -> int:
        """How often the vision tower has run, with one crop or many."""
        return self._clip_passes
