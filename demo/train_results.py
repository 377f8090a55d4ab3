"""Teach the decoder to read prices out of tools' results: `python -m demo.train_results STATE_DIR`, after
`demo.train_shop`.

First from text alone, where nothing but the digits counts much: to find a number and go on with it is a skill
of its own, which hardly comes while pictures are asked about. Then all that was asked before comes back.
"""

import random
from pathlib import Path

import torch
import typer
from torch import Tensor
from torch.nn import functional

from demo import batches_shop
from demo.language import token_ids
from demo.packing import Batch
from demo.reader import IGNORED, Measures
from demo.train_shop import PLAN as SHOP_PLAN
from demo.train_shop import ShopTask, draw_shop_batch
from demo.training import Plan, train
from demo.vocabulary import row_of

TEXT_PLAN = Plan(
    name="results_of_text",
    steps=300,
    muon_rate=0.006,
    adam_rate=2e-3,
    warm_up=20,
    decay=0.6,
    save_every=50,
    say_every=12,
)
PLAN = Plan(
    name="results",
    steps=420,
    muon_rate=0.004,
    adam_rate=1.2e-3,
    warm_up=10,
    decay=0.9,
    save_every=30,
    say_every=12,
)

_RESULTS = (5, 10)
"""Of twelve steps of `demo.train_shop`, those that tell results of calls again and again."""

_OTHER_WEIGHT = 0.2
"""Of a token that is no digit, where results are told."""


class ResultsTask(ShopTask):
    """The decoder, as the shop's stage teaches it, with the digits of results to the fore."""

    def __init__(self) -> None:
        super().__init__()
        self._digits = torch.tensor([row_of()[token_ids()[digit]] for digit in "0123456789"])

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step, of pictures not seen before."""
        number = SHOP_PLAN.steps + step
        kind = "results" if number % 12 in _RESULTS else "others"
        return (*self.arrays(draw_shop_batch(number)), kind)

    def loss(self, *arrays: Tensor) -> tuple[Tensor, Measures]:
        """Loss of a batch's answers, and the share of tokens that are right: of digits, where results are
        told.
        """
        *_, targets, kind = arrays
        logits = self.answer_logits(*arrays[:-1])
        wanted = targets[targets != IGNORED]
        right = (logits.argmax(-1) == wanted).float()
        losses = functional.cross_entropy(logits, wanted, reduction="none")
        counted = torch.ones_like(losses)
        if kind == "results":
            counted = torch.isin(wanted, self._digits).float()
        weights = counted.clamp(min=_OTHER_WEIGHT)
        loss = (losses * weights).sum() / weights.sum()
        share = (right * counted).sum() / counted.sum()
        return loss, {f"{kind}_answer": loss.item(), f"{kind}_token": share.item()}


class TextTask(ResultsTask):
    """The same from text alone."""

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step."""
        return (*self.arrays(draw_text_batch(step)), "results")


def draw_text_batch(step: int) -> Batch:
    """Results of a call, told again and again."""
    return batches_shop.told_again(random.Random(f"copy/{step}"), 4, 512)


def main(state: Path) -> None:
    """Train, both plans one after the other."""
    before = SHOP_PLAN
    for task, plan in ((TextTask(), TEXT_PLAN), (ResultsTask(), PLAN)):
        task.load_state_dict(torch.load(state / f"{before.name}.pt")["task"])
        train(task, plan, state)
        before = plan


if __name__ == "__main__":
    typer.run(main)
