"""vLLM's CPU worker: encodes images in slices, and survives a seeded request whose prompt takes several
steps.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from vllm.v1.worker.cpu_worker import CPUWorker

from phiserve.plugin.partial_encoding import SLICES


class PhiserveCPUWorker(CPUWorker):
    """Encodes images in slices between steps, and keeps the random generators of half-read prompts out of
    sampling.

    What is sampled for a prompt before its last step is thrown away. vLLM 0.32 then winds the request's
    generator back, which torch's CPU generators can't, and the engine dies. A generator that was not drawn
    from needs no winding back.
    """

    def load_model(self, *arguments: Any, **options: Any) -> None:
        """As vLLM's; the model sees slices from now on."""
        super().load_model(*arguments, **options)
        SLICES.serve(self.model_runner.get_model().clip_features)

    @torch.inference_mode()
    def execute_model(self, scheduler_output: Any) -> Any:
        """A slice of the image that waits, while the last step's tokens are on their way; then as vLLM's."""
        SLICES.advance()
        return super().execute_model(scheduler_output)

    def sample_tokens(self, grammar_output: Any) -> Any:
        """As vLLM's, for requests whose prompts are complete."""
        runner = self.model_runner
        half_read = np.nonzero(runner.discard_request_mask.np[: runner.input_batch.num_reqs])[0]
        with set_aside(runner.input_batch.generators, half_read.tolist()):
            return super().sample_tokens(grammar_output)


@contextmanager
def set_aside(generators: dict[int, Any], rows: Iterable[int]) -> Iterator[None]:
    """Take the generators of these rows of the batch out, for a while."""
    taken = {row: generators.pop(row) for row in rows if row in generators}
    try:
        yield
    finally:
        generators.update(taken)
