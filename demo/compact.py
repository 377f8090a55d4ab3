"""The served tensors: from training to the package, and back."""

import torch
from torch import Tensor

from demo.vocabulary import trained_ids

SHARPNESS = 4
"""Logits are multiplied by this, exactly: at OpenAI's default temperature of 1 the model answers as it would
at a quarter.

Answers are spelled one character a token: a few unlikely ones would spoil most of them.
"""

_PARTS = ("tower.", "projection.", "decoder.")


def compact(task: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that are served, in bfloat16, with the ids of the trained tokens."""
    tensors = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in task.items()
        if name.startswith(_PARTS)
    }
    tensors["decoder.last_norm"] *= SHARPNESS
    return tensors | {"trained_ids": torch.tensor(trained_ids(), dtype=torch.int32)}


def trained(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the package as training holds them: `compact`, undone but for the rounding."""
    weights = {name: tensor.float() for name, tensor in tensors.items() if name != "trained_ids"}
    weights["decoder.last_norm"] /= SHARPNESS
    return weights
