"""Teach the decoder to decide, by the letter of an option: `python -m demo.train_letters STATE_DIR`, after
`demo.train_shop`.

Half of the steps ask what was asked before, calls of tools among it, and are held to what the model said
before. The others ask for letters as the server does, at first mostly about texts alone: to find the option
that matches and to give its letter is a skill of its own. A head that only training has tells of each option
whether it is the right one, at the end of its line. Where `demo.train_shop` has left no checkpoint it goes on
from the package's weights.
"""

import random
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from demo import batches_letters
from demo.batches_letters import ANY, SHAPES, LetteredBatch
from demo.compact import SHARPNESS, grown, trained
from demo.decoder import HIDDEN
from demo.held import HeldTask, asked_before
from demo.packing import Batch
from demo.reader import IGNORED, Measures
from demo.style import Style, four_fonts, one_font
from demo.train_shop import PLAN as SHOP_PLAN
from demo.train_shop import draw_shop_batch
from demo.training import Plan, train
from demo.vocabulary import ids_before_letters
from phiserve.checkpoint.demo import compact_weights

PLAN = Plan(
    name="letters",
    steps=1200,
    muon_rate=0.005,
    adam_rate=1.5e-3,
    warm_up=20,
    decay=0.7,
    save_every=50,
    say_every=24,
)

EASY_UNTIL = 0.15
"""Until this share of all steps most decisions are about texts alone, and the others about shapes."""

_OPTION_WEIGHT = 0.5
"""Of the head that tells which option is right."""


def draw_letters_batch(step: int, *, with_tools: bool = True) -> tuple[str, Batch | LetteredBatch]:
    """The kind of a step and its batch: every second step asks for letters, the others what was asked before,
    a third of them, `with_tools`, where tools are told.
    """
    rng = random.Random(f"letters/{step}")
    style = one_font() if rng.random() < 0.4 else four_fonts()
    if step % 2:
        return "letters", _lettered(rng, style, step)
    if with_tools and step % 12 in (2, 6):
        turn = step // 12 * 2 + (step % 12 == 6)
        return "before", draw_shop_batch(SHOP_PLAN.steps + 2 * turn + 1)[1]
    return "before", asked_before(rng, style, step)


def _lettered(rng: random.Random, style: Style, step: int) -> LetteredBatch:
    """Decisions: the easier ones first."""
    easy = step < EASY_UNTIL * PLAN.steps
    match step % 12:
        case 1 | 7 | 11 if easy:
            return batches_letters.texts(rng, 8, 512, simple=0.7)
        case 9:
            return batches_letters.texts(rng, 6, 512, simple=0.3)
        case 3 | 7 if not easy:
            return batches_letters.pictures(rng, style, ANY, 6, 480)
        case 11:
            return batches_letters.pictures(rng, style, ANY, 6, 480)
        case _:
            return batches_letters.pictures(rng, style, SHAPES, 6, 480)


class LettersTask(HeldTask):
    """The whole model, of which only the decoder learns, and a head that tells whether an option is right."""

    def __init__(self) -> None:
        super().__init__()
        self.option_head = nn.Linear(HIDDEN, 1)
        self._knows_tools = True

    def begin(self, weights: dict[str, Tensor], known: Tensor) -> None:
        """As always. Weights that were never taught to call tools are not asked to."""
        super().begin(weights, known)
        self._knows_tools = bool(torch.isin(torch.tensor(ids_before_letters()), known).all())

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step: what `loss` needs of it."""
        kind, drawn = draw_letters_batch(step, with_tools=self._knows_tools)
        if isinstance(drawn, LetteredBatch):
            return (*self.arrays(drawn.batch), drawn.options, kind)
        return (*self.arrays(drawn), None, kind)

    def loss(self, *arrays: Any) -> tuple[Tensor, Measures]:
        """Loss of a batch's answers, and the share of tokens that are right. Letters are asked for in logits
        as sharp as they are served: their probabilities are to be true.
        """
        *asked, options, kind = arrays
        if options is None:
            answered = self.answered(*asked)
            loss, measures = self.held(answered)
            return loss, measures | answered.measures(kind)
        answered = self.answered(*asked, sharpness=SHARPNESS)
        option_loss, measures = self._option_loss(answered.hidden.located, options)
        loss = answered.losses.mean() / SHARPNESS + _OPTION_WEIGHT * option_loss
        return loss, measures | answered.measures(kind)

    def _option_loss(self, located: Tensor, options: Tensor) -> tuple[Tensor, Measures]:
        """Loss of what is told of options at the ends of their lines, and the share that is told right."""
        known = options != IGNORED
        told, right = self.option_head(located[known]).float()[:, 0], options[known]
        loss = functional.binary_cross_entropy_with_logits(told, right.float())
        return loss, {"option": loss.item(), "option_right": ((told > 0) == right).float().mean().item()}


def main(state: Path) -> None:
    """Train."""
    task, before = LettersTask(), state / f"{SHOP_PLAN.name}.pt"
    if before.exists():
        task.begin(grown(torch.load(before)["task"]), torch.tensor(ids_before_letters()))
    else:
        packed = compact_weights()
        task.begin(trained(packed), packed["trained_ids"])
    train(task, PLAN, state)


if __name__ == "__main__":
    typer.run(main)
