"""Train the vision tower to read every glyph and see every edge. `python -m demo.train_tower STATE_DIR`."""

import random
from pathlib import Path

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor

from demo.augment import augmented
from demo.book import draw_book
from demo.canvas import Canvas
from demo.chart import draw_chart
from demo.lines import draw_line, draw_page
from demo.reader import LABELS, Measures, Reader, patch_labels
from demo.shapes import draw_shapes
from demo.style import Style, four_fonts
from demo.tower import Tower
from demo.training import Plan, train
from phiserve.checkpoint.demo_tower import COLOUR, OUT

PLAN = Plan(name="tower", steps=2700, muon_rate=0.02, adam_rate=2e-3, decay=0.4)
BATCH = 32

TowerBatch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def draw_canvas(rng: random.Random, style: Style) -> Canvas:
    """Half of all pictures are full of text; the rest are those of the tasks."""
    kind = rng.random()
    if kind < 0.5:
        return draw_page(rng, style)
    if kind < 0.62:
        return draw_book(rng, style).canvas
    if kind < 0.78:
        return draw_chart(rng, style).canvas
    if kind < 0.92:
        return draw_shapes(rng, style).canvas
    return draw_line(rng, style).canvas


def tower_batch(seed: str, size: int, style: Style) -> TowerBatch:
    """Crops (n, 336, 336, 3), labels of patches (n, 576, LABELS)."""
    rng = random.Random(seed)
    canvases = [draw_canvas(rng, style) for _ in range(size)]
    crops = np.stack([augmented(canvas, rng) for canvas in canvases])
    return crops, np.stack([patch_labels(canvas) for canvas in canvases]).reshape(size, -1, LABELS)


class TowerTask(torch.nn.Module):
    """The tower with its reader, as the trainer wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = Tower()
        self.reader = Reader()
        self.tower.compile()

    def batch(self, step: int) -> TowerBatch:
        """The batch of a step."""
        return tower_batch(f"tower/{step}", BATCH, four_fonts())

    def loss(self, *batch: Tensor) -> tuple[Tensor, Measures]:
        """Loss and measures of a batch."""
        crops, labels = batch
        return self.reader.loss(self.tower(crops)[..., COLOUR : COLOUR + OUT], labels)


def main(state: Path) -> None:
    """Train from the newest checkpoint in `state`, or from nothing."""
    train(TowerTask(), PLAN, state)


if __name__ == "__main__":
    typer.run(main)
