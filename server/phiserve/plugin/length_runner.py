"""vLLM's model runner for CPUs, in which tokens get the RoPE factors of their request's length."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.v1.worker.cpu_model_runner import CPUModelRunner

from phiserve.plugin.length_scheduler import switching_length


class LengthRunner(CPUModelRunner):
    """Chooses the factors by the positions that the model is given.

    vLLM's table has `short_tokens` rows with the short factors, and below them those with the long ones.
    Where the context is longer than the short one, vLLM adds `short_tokens` to every position, to get to the
    long ones; the tokens of short requests are given positions that are lower by as much.
    """

    short_tokens: int

    def _model_forward(self, *, positions: torch.Tensor, **inputs: Any) -> Any:
        """Run the model on a step's tokens; `positions` is (n,)."""
        batch = self.input_batch
        rows = slice(batch.num_reqs)
        # As the scheduler decides, by all that is known of a request, of which a step may read a part.
        is_short = batch.num_tokens_no_spec[rows] <= self.short_tokens
        if is_short.any():
            lengths = self.num_scheduled_tokens.np[rows]
            positions = lowered(positions, is_short, lengths, self.short_tokens)
        return super()._model_forward(positions=positions, **inputs)


def choose_by_length(runner: CPUModelRunner) -> None:
    """Let a runner choose the factors, where requests of its engine differ in them."""
    short_tokens = switching_length(runner.vllm_config)
    if short_tokens is not None:
        runner.__class__ = LengthRunner
        runner.short_tokens = short_tokens


def lowered(
    positions: torch.Tensor, is_short: NDArray[np.bool_], lengths: NDArray[np.int32], by: int
) -> torch.Tensor:
    """A copy of `positions`, lower by `by` for the tokens of short requests.

    `lengths` are the requests' numbers of tokens, which follow one another. Beyond them is padding.
    """
    if is_short.all():
        return positions - by
    result = positions.clone()
    shifts = torch.from_numpy(np.repeat(np.where(is_short, by, 0), lengths))
    result[: len(shifts)] -= shifts
    return result
