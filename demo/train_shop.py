"""Teach the decoder to call two tools: `python -m demo.train_shop STATE_DIR`, after `demo.train_further`.

Tower and projection are left alone. Half of the steps ask what was asked before and are held to what the
model said before, so that nothing is forgotten. Of the others most ask for nothing but calls, or tell results
of calls from text alone: to find what the question means, and a number to go on with, are skills of their
own, which hardly come while all else is asked. Where `demo.train_further` has left no checkpoint it goes on
from the package's weights.
"""

import random
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import typer
from torch import Tensor
from torch.nn import functional

from demo import batches, batches_shop
from demo.compact import trained
from demo.decoder import Hidden, Packs
from demo.kinds import USUAL
from demo.packing import Batch
from demo.reader import IGNORED, Measures, asked_loss
from demo.style import Style, four_fonts, one_font
from demo.train import DemoTask, region_mask
from demo.train_further import PLAN as FURTHER_PLAN
from demo.training import PRECISION, Plan, train
from demo.vocabulary import trained_ids
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

_PLACE_WEIGHT, _TRUTH_WEIGHT = 0.3, 0.5
"""Of the head that tells where a shape stands, and, where the model is held to what it said before, of the
right answer."""


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
        case 4:
            return "before", batches.two_pictures(rng, style, USUAL, 3, 320)
        case 8 if step % 24 == 8:
            return "before", batches.talk(rng, 8, 384)
        case 8:
            return "before", batches.question_first(rng, style, USUAL, 8, 112)
        case _:
            return "before", batches.one_picture(rng, style, USUAL, 5, 520)


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


class ShopTask(DemoTask):
    """The whole model, of which only the decoder learns, and a head that tells where a shape stands."""

    def __init__(self) -> None:
        super().__init__(is_compiled=False)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(("decoder.", "place_head.")))
        self._before = deepcopy(self.decoder)
        self._was_known = torch.ones(len(trained_ids()) + 1, dtype=torch.bool)

    def begin(self, weights: dict[str, Tensor], known: Tensor) -> None:
        """Start from weights, which are also what answers are held to. `known` (trained ids,): ids that they
        know: of all others they have no opinion.
        """
        self.load_state_dict(weights, strict=False)
        self._before = deepcopy(self.decoder).requires_grad_(False)
        self._was_known = torch.cat([torch.isin(torch.tensor(trained_ids()), known), torch.tensor([True])])

    def batch(self, step: int) -> tuple[object, ...]:
        """The batch of a step: what `loss` needs of it."""
        kind, batch = draw_shop_batch(step)
        return (*self.arrays(batch), kind)

    def arrays(self, batch: Batch) -> tuple[object, ...]:
        """What `loss` needs of a batch."""
        return (
            batch.crops,
            batch.prefix_rows,
            batch.image_starts,
            batch.region_rows,
            batch.positions,
            batch.segments,
            batch.targets,
            batch.places,
        )

    def loss(self, *arrays: Any) -> tuple[Tensor, Measures]:
        """Loss of a batch's answers, and the share of tokens that are right."""
        *seen, targets, places, kind = arrays
        pack, images = self._shown(*seen)
        hidden = self.decoder(pack, images)
        asked = targets != IGNORED
        logits, wanted = self.decoder.logits(hidden.last[asked]), targets[asked]
        losses = functional.cross_entropy(logits, wanted, reduction="none")
        right = (logits.argmax(-1) == wanted).float().mean()
        measures = {f"{kind}_answer": losses.mean().item(), f"{kind}_token": right.item()}
        if kind == "before":
            apart = self._apart(pack, images, asked, logits)
            return apart + _TRUTH_WEIGHT * losses.mean(), measures | {"before_apart": apart.item()}
        weights = 1 - (-losses.detach()).exp() + _LEAST_WEIGHT
        loss = (losses * weights).sum() / weights.sum()
        if kind == "calls":
            place_loss = self._placed(hidden, places)
            return loss + _PLACE_WEIGHT * place_loss, measures | {"place": place_loss.item()}
        return loss, measures

    def _shown(
        self,
        crops: Tensor,
        prefix_rows: Tensor,
        starts: Any,
        rows: Tensor,
        positions: Tensor,
        segments: Tensor,
    ) -> tuple[Packs, Tensor]:
        pack = Packs(prefix_rows, tuple(starts), rows, positions, region_mask(segments, prefix_rows.shape[1]))
        images = torch.zeros(len(rows), 0, dtype=PRECISION)
        if starts:
            with torch.no_grad():
                tokens = self.projection(self.see(crops.flatten(0, 1)))
            images = torch.unflatten(tokens, 0, (len(rows), len(starts)))
        return pack, images

    def _apart(self, pack: Packs, images: Tensor, asked: Tensor, logits: Tensor) -> Tensor:
        """How far answers are from what the model said before, in nats a token."""
        with torch.no_grad():
            before = self._before.logits(self._before(pack, images).last[asked])
            before = before.masked_fill(~self._was_known, -1e9).log_softmax(-1)
        return functional.kl_div(logits.log_softmax(-1), before, reduction="batchmean", log_target=True)

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
