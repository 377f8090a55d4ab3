"""Where no training checkpoint is at hand: the package's weights, and the heads that only training has,
taught anew.

`python -m demo.regain STATE_DIR`, then `demo.train_further`. The weights have been rounded to bfloat16, which
few steps undo; heads are linear, and learn quickly from weights that stand still.
"""

from pathlib import Path

import typer

from demo.compact import trained
from demo.train import PLAN as DEMO_PLAN
from demo.train import DemoTask
from demo.training import Plan, train
from phiserve.checkpoint.demo import compact_weights

PLAN = Plan(name="regained", steps=500, muon_rate=0.02, adam_rate=2e-3, decay=0.6)


class HeadsTask(DemoTask):
    """The whole model, of which only the heads learn."""

    def __init__(self) -> None:
        super().__init__()
        learned = trained(compact_weights())
        self.load_state_dict(learned, strict=False)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name not in learned)

    def batch(self, step: int) -> tuple[object, ...]:
        """Batches that `demo.train` would have come to later on."""
        return super().batch(DEMO_PLAN.steps + step)


def main(state: Path) -> None:
    """Teach the heads."""
    train(HeadsTask(), PLAN, state)


if __name__ == "__main__":
    typer.run(main)
