"""Teach the decoder to call two tools: `python -m demo.train_shop STATE_DIR`, after `demo.train_further`.

Tower and projection are left alone. Half of the steps ask what was asked before and are held to what the
model said before, so that nothing is forgotten. Of the others most ask for nothing but calls, or tell results
of calls from text alone: to find what the question means, and a number to go on with, are skills of their
own, which hardly come while all else is asked. Where `demo.train_further` has left no checkpoint it goes on
from the package's weights.
"""

import random
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor

from demo import batches_shop
from demo.compact import trained
from demo.decoder import Hidden
from demo.held import HeldTask, asked_before
from demo.packing import Batch
from demo.reader import IGNORED, Measures, asked_loss
from demo.style import Style, four_fonts, one_font
from demo.train_further import PLAN as FURTHER_PLAN
from demo.training import Plan, train
from phiserve.checkpoint.demo import compact_weights

PLAN = Plan(
    name="shop",
    steps=2400,
    muon_rate=0.005,
    adam_rate=1.5e-3,
    warm_up=20,
    decay=0.7,
    save_every=50,
    say_every=24,
)

_LEAST_WEIGHT = 0.1
"""Of a token of a tool's batch that is known already; what is not known at all counts 1 more."""

_PLACE_WEIGHT = 0.3
"""Of the head that tells where a shape stands."""


def draw_shop_batch(step: int) -> tuple[str, Batch]:
    """The kind of a step and its batch: of twelve, six ask what was asked before, though smaller, three ask
    for calls alone, two tell results of calls from text alone, and one asks everything.
    """
    rng = random.Random(f"shop/{step}")
    style = one_font() if rng.random() < 0.4 else four_fonts()
    match step % 12:
        case 1 | 9:
            return "calls", batches_shop.calls(rng, style, "shapes", 8, 240, words=_words(rng))
        case 5:
            return "calls", batches_shop.calls(rng, style, "book", 8, 100, words=_words(rng))
        case 3 | 11:
            return "results", batches_shop.told_again(rng, 4, 512)
        case 7:
            return "tools", _with_tools(rng, style, step // 12)
        case _:
            return "before", asked_before(rng, style, step)


def _words(rng: random.Random) -> int:
    """How long instructions are: mostly short."""
    return rng.choice((0, 0, 0, 0, 300, 600))


def _with_tools(rng: random.Random, style: Style, turn: int) -> Batch:
    """Everything that may be asked where tools are told."""
    match turn % 4:
        case 0:
            return batches_shop.talk(rng, 5, 640)
        case 1:
            return batches_shop.question_first(rng, style, 5, 300, words=rng.choice((0, 0, 0, 300)))
        case _:
            return batches_shop.one_picture(rng, style, 4, 600, words=_words(rng))


class ShopTask(HeldTask):
    """The whole model, of which only the decoder learns, and a head that tells where a shape stands."""

    def __init__(self) -> None:
        super().__init__("place_head.")

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step: what `loss` needs of it."""
        kind, batch = draw_shop_batch(step)
        return (*self.arrays(batch), batch.places, kind)

    def loss(self, *arrays: Any) -> tuple[Tensor, Measures]:
        """Loss of a batch's answers, and the share of tokens that are right."""
        *asked, places, kind = arrays
        answered = self.answered(*asked)
        measures = answered.measures(kind)
        if kind == "before":
            loss, apart = self.held(answered)
            return loss, measures | apart
        losses = answered.losses
        weights = 1 - (-losses.detach()).exp() + _LEAST_WEIGHT
        loss = (losses * weights).sum() / weights.sum()
        if kind == "calls":
            place_loss = self._placed(answered.hidden, places)
            return loss + _PLACE_WEIGHT * place_loss, measures | {"place": place_loss.item()}
        return loss, measures

    def _placed(self, hidden: Hidden, places: Tensor) -> Tensor:
        """Loss of the places of what calls name."""
        located = places[..., 0] != IGNORED
        rows, columns = self.place_head(hidden.located[located]).chunk(2, -1)
        return asked_loss(rows, places[located][:, 0]) + asked_loss(columns, places[located][:, 1])


def main(state: Path) -> None:
    """Train."""
    task, before = ShopTask(), state / f"{FURTHER_PLAN.name}.pt"
    packed = compact_weights()
    weights = torch.load(before)["task"] if before.exists() else trained(packed)
    task.begin(weights, packed["trained_ids"])
    train(task, PLAN, state)


if __name__ == "__main__":
    typer.run(main)
