"""Train the whole model on drawn pictures: `python -m demo.train STATE_DIR`, after `demo.train_tower`."""

import random
from pathlib import Path

import torch
import typer
from torch import Tensor

from demo import packing
from demo.decoder import Pack
from demo.model import DemoModel, Measures
from demo.style import four_fonts, one_font
from demo.train_tower import PLAN as TOWER_PLAN
from demo.train_tower import tower_batch
from demo.training import Plan, train
from demo.vocabulary import trained_ids

PLAN = Plan(name="demo", steps=2000, muon_rate=0.02, adam_rate=2e-3, decay=0.5)

EASY_UNTIL = 0.3
"""Until this share of all steps most pictures hold little text: where to look is learned from these first."""

TOWER_FROM = 0.5
"""Until this share of all steps the tower is left alone, so that the decoder learns on firm ground."""

PAGES = 8
"""Pictures a step that only the tower reads once it goes on learning."""

_TOWER_RATE = 0.3
"""The tower has been trained before, and learns more slowly."""


def draw_batch(step: int) -> packing.Batch:
    """The batch of a step: of twelve, one is talk, one has the question first; later on, two have two pictures."""
    rng = random.Random(f"demo/{step}")
    style = one_font() if rng.random() < 0.4 else four_fonts()
    easy = step < EASY_UNTIL * PLAN.steps
    shares = packing.EASY if easy else packing.USUAL
    match step % 12:
        case 5:
            return packing.talk(rng, 16, 384)
        case 11:
            return packing.question_first(rng, style, shares, 20, 112)
        case 3 | 8 if not easy:
            return packing.two_pictures(rng, style, shares, 7, 256)
        case _:
            size, region = (20, 128) if easy else (14, 320)
            return packing.one_picture(rng, style, shares, size, region)


class DemoTask(DemoModel):
    """The model as the trainer wants it."""

    def __init__(self) -> None:
        super().__init__(len(trained_ids()))
        for parameter in self.tower.parameters():
            parameter.rate_scale = _TOWER_RATE  # type: ignore[attr-defined] # read by the trainer
        self.tower.compile()
        for layer in self.decoder.layers:
            layer.compile(dynamic=True)

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step."""
        batch = draw_batch(step)
        pages = tower_batch(f"pages/{step}", PAGES, four_fonts()) if step >= TOWER_FROM * PLAN.steps else (None, None, None)
        return (*pages, *(getattr(batch, name) for name in batch.__dataclass_fields__))

    def loss(self, *arrays: Tensor) -> tuple[Tensor, Measures]:
        """Loss and measures of a batch."""
        pages, page_glyphs, page_edges, crops, prefix_rows, starts, rows, positions, segments, targets, places, *labels = arrays
        glyphs, edges, roles = labels
        size = len(rows)
        count = len(starts)
        pack = Pack(prefix_rows, tuple(starts), rows, positions, region_mask(segments, prefix_rows.shape[1]))
        features = crops
        reading_loss = torch.zeros(())
        read: Measures = {}
        if pages is None and count:
            with torch.no_grad():
                features = self.see(crops.flatten(0, 1))
        elif pages is not None:
            features = self.see(torch.cat([pages, crops.flatten(0, 1)]) if count else pages)
            all_glyphs = torch.cat([page_glyphs, glyphs.flatten(0, 1)])
            reading_loss, read = self.reading_loss(features, all_glyphs, torch.cat([page_edges, edges.flatten(0, 1)]))
            features = features[len(pages) :]
        none = torch.zeros(size, 0, dtype=torch.bfloat16)
        images = self.projection(features).unflatten(0, (size, count)) if count else none
        loss, measures = self.answer_loss(pack, images, targets, places, glyphs, roles)
        return loss + reading_loss, {f"{name}{count}": value for name, value in measures.items()} | read


def region_mask(segments: Tensor, prefix: int) -> Tensor:
    """What each token of the region sees: the prefix, and what stands before it in its own branch. (B, R) -> (B, 1, R, P + R)."""
    region = segments.shape[1]
    own = (segments[:, :, None] == segments[:, None, :]) & torch.ones(region, region, dtype=torch.bool).tril()
    return torch.cat([torch.ones(len(segments), region, prefix, dtype=torch.bool), own], 2)[:, None]


def main(state: Path) -> None:
    """Train."""
    task = DemoTask()
    tower = torch.load(state / f"{TOWER_PLAN.name}.pt")["task"]
    task.load_state_dict({name: value for name, value in tower.items() if not name.startswith("_")}, strict=False)
    train(task, PLAN, state)


if __name__ == "__main__":
    typer.run(main)
