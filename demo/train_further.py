"""Train tower, projection and decoder further, all together: `python -m demo.train_further STATE_DIR`.

It goes on from `demo.train`, or from `demo.regain`, at a rate that falls from the first step on.
"""

from pathlib import Path

import torch
import typer

from demo.regain import PLAN as REGAIN_PLAN
from demo.train import PLAN as DEMO_PLAN
from demo.train import DemoTask
from demo.training import Plan, train

PLAN = Plan(name="further", steps=3600, muon_rate=0.008, adam_rate=0.85e-3, decay=1.0)

_FIRST = DEMO_PLAN.steps + REGAIN_PLAN.steps
"""Steps whose pictures have been seen."""

_SIGHT_RATE = 0.4
"""Tower and projection learn a little faster now that the decoder knows what to ask of them."""


class FurtherTask(DemoTask):
    """The whole model, which has learned to read by now."""

    def __init__(self) -> None:
        super().__init__(sight_rate=_SIGHT_RATE)

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step, of pictures not seen before."""
        return super().batch(_FIRST + step)


def main(state: Path) -> None:
    """Train."""
    regained = state / f"{REGAIN_PLAN.name}.pt"
    before = regained if regained.exists() else state / f"{DEMO_PLAN.name}.pt"
    task = FurtherTask()
    task.load_state_dict(torch.load(before)["task"])
    train(task, PLAN, state)


if __name__ == "__main__":
    typer.run(main)
