"""Train the whole model on drawn pictures: `python -m demo.train STATE_DIR`, after
`demo.train_projection`.
"""

import random
from pathlib import Path

import torch
import typer
from torch import Tensor

from demo import batches
from demo.decoder import Packs
from demo.kinds import EASY, USUAL
from demo.model import DemoModel
from demo.packing import Batch
from demo.reader import Measures
from demo.style import four_fonts, one_font
from demo.train_projection import PLAN as PROJECTION_PLAN
from demo.train_tower import tower_batch
from demo.training import PRECISION, Plan, train
from demo.vocabulary import trained_ids

PLAN = Plan(name="demo", steps=3000, muon_rate=0.014, adam_rate=1.5e-3, decay=0.8)

EASY_UNTIL = 0.1
"""Until this share of all steps most pictures hold little text: where to look is learned from these first."""

SIGHT_FROM = 0.75
"""Until this share of all steps the tower and the projection are left alone.

Both have been trained before. A decoder that has not learned to read yet would spoil what image tokens hold:
asked at full rate, they lost four of ten glyphs in some hundred steps.
"""

PAGES = 8
"""Pictures a step that only the tower and the projection read once they go on learning."""

_SIGHT_RATE = 0.3
"""They learn more slowly."""


def draw_batch(step: int) -> Batch:
    """The batch of a step: of twelve, one is talk, one has the question first; later on, two have two
    pictures.
    """
    rng = random.Random(f"demo/{step}")
    style = one_font() if rng.random() < 0.4 else four_fonts()
    easy = step < EASY_UNTIL * PLAN.steps
    shares = EASY if easy else USUAL
    match step % 12:
        case 5:
            return batches.talk(rng, 16, 384)
        case 11:
            return batches.question_first(rng, style, shares, 20, 112)
        case 3 | 8 if not easy:
            return batches.two_pictures(rng, style, shares, 7, 256)
        case _:
            size, region = (20, 128) if easy else (14, 320)
            return batches.one_picture(rng, style, shares, size, region)


class DemoTask(DemoModel):
    """The model as the trainer wants it."""

    def __init__(self, sight_rate: float = _SIGHT_RATE, *, is_compiled: bool = True) -> None:
        """`sight_rate`: at what share of the rate tower and projection learn. Compiling takes some minutes,
        and pays after some hundred steps.
        """
        super().__init__(len(trained_ids()))
        for parameter in (*self.tower.parameters(), *self.projection.parameters()):
            parameter.rate_scale = sight_rate  # type: ignore[attr-defined] # read by the trainer
        if not is_compiled:
            return
        self.tower.compile()
        for layer in self.decoder.layers:
            layer.compile(dynamic=True)

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step."""
        batch = draw_batch(step)
        pages = (
            tower_batch(f"pages/{step}", PAGES, four_fonts())
            if step >= SIGHT_FROM * PLAN.steps
            else (None, None)
        )
        return (*pages, *(getattr(batch, name) for name in batch.__dataclass_fields__))

    def loss(self, *arrays: Tensor) -> tuple[Tensor, Measures]:
        """Loss and measures of a batch."""
        pages, page_labels, crops, prefix_rows, starts, rows, positions, segments, targets, *taught = arrays
        places, spelled, labels, roles = taught
        size, count = len(rows), len(starts)
        pack = Packs(prefix_rows, tuple(starts), rows, positions, region_mask(segments, prefix_rows.shape[1]))
        sight_loss, measures = torch.zeros(()), Measures()
        images, reading = torch.zeros(size, 0, dtype=PRECISION), labels
        learning = pages is not None
        if learning or count:
            shown = [pages] * learning + [crops.flatten(0, 1)] * (count > 0)
            with torch.set_grad_enabled(learning):
                features = self.see(torch.cat(shown))
                seen, read = self.projection(features), self.reading(features)
            if learning:
                reading_loss, found = self.reading_loss(
                    features, torch.cat([page_labels, labels.flatten(0, 1)])
                )
                carrying_loss, held = self.carrying_loss(features, seen, read)
                sight_loss, measures = reading_loss + carrying_loss, found | held
            if count:
                images, reading = (
                    torch.unflatten(told[-size * count :], 0, (size, count)) for told in (seen, read)
                )
        answer_loss, answered = self.answer_loss(pack, images, targets, places, spelled, reading, roles)
        return sight_loss + answer_loss, {
            f"{name}{count}": value for name, value in answered.items()
        } | measures


def region_mask(segments: Tensor, prefix: int) -> Tensor:
    """What each token of the region sees: the prefix, and what stands before it in its own branch. (B, R) ->
    (B, 1, R, P + R).
    """
    region = segments.shape[1]
    own = (segments[:, :, None] == segments[:, None, :]) & torch.ones(region, region, dtype=torch.bool).tril()
    return torch.cat([torch.ones(len(segments), region, prefix, dtype=torch.bool), own], 2)[:, None]


def main(state: Path) -> None:
    """Train."""
    task = DemoTask()
    task.load_state_dict(torch.load(state / f"{PROJECTION_PLAN.name}.pt")["task"])
    train(task, PLAN, state)


if __name__ == "__main__":
    typer.run(main)
