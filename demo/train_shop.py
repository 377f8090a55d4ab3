"""Teach the decoder to call two tools: `python -m demo.train_shop STATE_DIR`, after `demo.train_further`.

Tower and projection are left alone. Half of the steps ask what was asked before, so that nothing is
forgotten. Where `demo.train_further` has left no checkpoint it goes on from the package's weights.
"""

import random
from pathlib import Path

import torch
import typer
from torch import Tensor
from torch.nn import functional

from demo import batches, batches_shop
from demo.compact import trained
from demo.decoder import Packs
from demo.kinds import USUAL
from demo.packing import Batch
from demo.reader import IGNORED, Measures
from demo.style import four_fonts, one_font
from demo.train import DemoTask, region_mask
from demo.train_further import PLAN as FURTHER_PLAN
from demo.training import Plan, train
from phiserve.checkpoint.demo import compact_weights

PLAN = Plan(
    name="shop",
    steps=1200,
    muon_rate=0.005,
    adam_rate=1.5e-3,
    warm_up=10,
    decay=0.8,
    save_every=50,
    say_every=12,
)

_BEFORE = (0, 2, 4, 6, 8)
"""Of twelve steps, those that ask what was asked before."""


def draw_shop_batch(step: int) -> Batch:
    """The batch of a step: of twelve, five are as before, though smaller, and seven have tools.

    Of those, three show the picture first, one of them behind long instructions; one has the question first,
    three no picture: in two, results of a call are told again and again.
    """
    rng = random.Random(f"shop/{step}")
    style = one_font() if rng.random() < 0.4 else four_fonts()
    match step % 12:
        case 1 | 9:
            return batches_shop.one_picture(rng, style, 4, 600)
        case 3:
            return batches_shop.one_picture(rng, style, 2, 600, words=rng.randint(250, 700))
        case 7:
            return batches_shop.question_first(rng, style, 5, 300, words=rng.choice((0, 0, 0, 300)))
        case 5 | 10:
            return batches_shop.told_again(rng, 6, 512)
        case 11:
            return batches_shop.talk(rng, 5, 640)
        case 4:
            return batches.two_pictures(rng, style, USUAL, 3, 320)
        case 8 if step % 24 == 8:
            return batches.talk(rng, 8, 384)
        case 8:
            return batches.question_first(rng, style, USUAL, 8, 112)
        case _:
            return batches.one_picture(rng, style, USUAL, 5, 520)


class ShopTask(DemoTask):
    """The whole model, of which only the decoder learns, from its answers alone."""

    def __init__(self) -> None:
        super().__init__(is_compiled=False)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith("decoder."))

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step: what `loss` needs of it."""
        return (*self.arrays(draw_shop_batch(step)), "before" if step % 12 in _BEFORE else "tools")

    def arrays(self, batch: Batch) -> tuple[object, ...]:
        """What `answer_logits` needs of a batch."""
        return (
            batch.crops,
            batch.prefix_rows,
            batch.image_starts,
            batch.region_rows,
            batch.positions,
            batch.segments,
            batch.targets,
        )

    def loss(self, *arrays: Tensor) -> tuple[Tensor, Measures]:
        """Loss of a batch's answers, and the share of tokens that are right."""
        *_, targets, kind = arrays
        logits = self.answer_logits(*arrays[:-1])
        wanted = targets[targets != IGNORED]
        loss = functional.cross_entropy(logits, wanted)
        right = (logits.argmax(-1) == wanted).float().mean()
        return loss, {f"{kind}_answer": loss.item(), f"{kind}_token": right.item()}

    def answer_logits(self, *arrays: Tensor) -> Tensor:
        """(n, vocabulary + 1) of the n tokens that are asked for."""
        crops, prefix_rows, starts, rows, positions, segments, targets = arrays
        pack = Packs(prefix_rows, tuple(starts), rows, positions, region_mask(segments, prefix_rows.shape[1]))
        images = torch.zeros(len(rows), 0, dtype=torch.bfloat16)
        if starts:
            with torch.no_grad():
                seen = self.projection(self.see(crops.flatten(0, 1)))
            images = torch.unflatten(seen, 0, (len(rows), len(starts)))
        hidden = self.decoder(pack, images)
        return self.decoder.logits(hidden.last[targets != IGNORED])


def main(state: Path) -> None:
    """Train."""
    task, before = ShopTask(), state / f"{FURTHER_PLAN.name}.pt"
    if before.exists():
        task.load_state_dict(torch.load(before)["task"])
    else:
        task.load_state_dict(trained(compact_weights()), strict=False)
    train(task, PLAN, state)


if __name__ == "__main__":
    typer.run(main)
