"""vLLM's CPU worker, which encodes images between steps.

It also survives a seeded request whose prompt takes several steps, and gives each request of a batch the
log-probabilities that it asked for and the RoPE factors of its length.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from vllm.v1.core.sched.output import GrammarOutput, SchedulerOutput
from vllm.v1.outputs import AsyncModelRunnerOutput, ModelRunnerOutput
from vllm.v1.sample import sampler
from vllm.v1.worker.cpu_worker import CPUWorker

from phiserve.plugin.length_runner import choose_by_length
from phiserve.plugin.partial_encoding import PARTIAL_ENCODER
from phiserve.plugin.processor import encode_slice_s
from phiserve.plugin.sampler import RowSampler


class PhiserveCPUWorker(CPUWorker):
    """Encodes images between steps, and keeps half-read prompts' generators out of sampling.

    What is sampled for a prompt before its last step is thrown away. vLLM 0.32 then winds the request's
    random generator back, which torch's CPU generators cannot do, and the engine dies. A generator that was
    not drawn from needs no winding back.
    """

    def load_model(self, *, load_dummy_weights: bool = False) -> None:
        """Load the model as vLLM does; the partial encoder uses it from now on."""
        super().load_model(load_dummy_weights=load_dummy_weights)
        sampler.batched_count_greater_than = count_not_below
        self.model_runner.sampler.__class__ = RowSampler
        choose_by_length(self.model_runner)
        PARTIAL_ENCODER.start(self.model_runner.get_model().clip_parts, encode_slice_s(self.model_config))

    @torch.inference_mode()
    def execute_model(
        self, scheduler_output: SchedulerOutput
    ) -> ModelRunnerOutput | AsyncModelRunnerOutput | None:
        """Encode a slice of the active image, then run the step as vLLM does.

        Meanwhile the last step's tokens are on their way to the clients.
        """
        PARTIAL_ENCODER.advance()
        return super().execute_model(scheduler_output)

    def sample_tokens(
        self, grammar_output: GrammarOutput | None
    ) -> ModelRunnerOutput | AsyncModelRunnerOutput:
        """Sample as vLLM does, drawing from generators only for requests whose prompts are complete."""
        runner = self.model_runner
        half_read = np.nonzero(runner.discard_request_mask.np[: runner.input_batch.num_reqs])[0]
        with set_aside(runner.input_batch.generators, half_read.tolist()):
            return super().sample_tokens(grammar_output)


def count_not_below(logprobs: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
    """How many of each row (n, vocabulary) are not below the row's bound (n, 1): the rank of the bound, (n,).

    In place of vLLM's function of the same result, which torch compiles when a request first asks for
    log-probabilities: for seconds, during which every running answer stands still.
    """
    return (logprobs >= bounds).sum(-1)


@contextmanager
def set_aside(generators: dict[int, torch.Generator], rows: Iterable[int]) -> Iterator[None]:
    """Take the generators of these rows of the batch out, and put them back at the end.

    They are put back after errors too.
    """
    taken = {row: generators.pop(row) for row in rows if row in generators}
    try:
        yield
    finally:
        generators.update(taken)
