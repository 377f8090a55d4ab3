"""From a training checkpoint to the package's weights. `python -m demo.export STATE_DIR`."""

from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor

from demo.train import PLAN
from demo.vocabulary import trained_ids
from phiserve.checkpoint import demo

SHARPNESS = 4
"""Logits are multiplied by this, exactly: at OpenAI's default temperature of 1 the model answers as it would at a quarter.

Answers are spelled one character a token: a few unlikely ones would spoil most of them.
"""

_PARTS = ("tower.", "projection.", "decoder.")


def compact(task: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that are served, in bfloat16, with the ids of the trained tokens."""
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in task.items() if name.startswith(_PARTS)}
    tensors["decoder.last_norm"] *= SHARPNESS
    return tensors | {"trained_ids": torch.tensor(trained_ids(), dtype=torch.int32)}


def main(state: Path) -> None:
    """Write the weights of the newest checkpoint in `state` into the package."""
    saved: dict[str, Any] = torch.load(state / f"{PLAN.name}.pt")
    packed = demo.pack(compact(saved["task"]))
    path = Path(demo.__file__).with_name(demo.WEIGHTS_FILE)
    path.write_bytes(packed)
    print(f"{path}: {len(packed) / 1e6:.2f} MB after {saved['step']} steps")


if __name__ == "__main__":
    typer.run(main)
