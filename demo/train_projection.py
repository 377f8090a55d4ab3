"""Train the projection to keep what the tower reads: `python -m demo.train_projection STATE_DIR`, after
`demo.train_tower`.

All that the tower tells of a block's four patches must fit into one image token. Asked of the decoder alone
this is learned slowly, since its pictures are few; asked of the tokens themselves, on pages full of text, it
takes minutes.
"""

from pathlib import Path

import torch
import typer
from torch import Tensor

from demo.model import DemoModel
from demo.reader import Measures
from demo.style import four_fonts
from demo.train_tower import PLAN as TOWER_PLAN
from demo.train_tower import TowerBatch, tower_batch
from demo.training import Plan, train
from demo.vocabulary import trained_ids

PLAN = Plan(name="projection", steps=600, muon_rate=0.02, adam_rate=2e-3, decay=0.5)
BATCH = 32


class ProjectionTask(DemoModel):
    """The whole model as the trainer wants it, of which only the projection and its reader learn."""

    def __init__(self) -> None:
        super().__init__(len(trained_ids()))
        self.requires_grad_(False)
        self.projection.requires_grad_(True)
        self.carrying_head.requires_grad_(True)
        self.tower.compile()

    def batch(self, step: int) -> TowerBatch:
        """The batch of a step."""
        return tower_batch(f"projection/{step}", BATCH, four_fonts())

    def loss(self, *batch: Tensor) -> tuple[Tensor, Measures]:
        """Loss and measures of a batch."""
        crops, _ = batch
        with torch.no_grad():
            features = self.see(crops)
        return self.carrying_loss(features, self.projection(features), self.reading(features))


def main(state: Path) -> None:
    """Train."""
    task = ProjectionTask()
    tower = torch.load(state / f"{TOWER_PLAN.name}.pt")["task"]
    task.load_state_dict(tower, strict=False)
    train(task, PLAN, state)


if __name__ == "__main__":
    typer.run(main)
