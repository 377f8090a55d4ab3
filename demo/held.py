"""To learn more without forgetting: the decoder alone learns, some of its steps ask what was asked before,
and in these it is held to what it said before.
"""

import random
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from demo import batches
from demo.decoder import Hidden, Packs
from demo.kinds import USUAL
from demo.packing import Batch
from demo.reader import IGNORED, Measures
from demo.style import Style
from demo.train import DemoTask, region_mask
from demo.training import PRECISION
from demo.vocabulary import trained_ids

_TRUTH_WEIGHT = 0.5
"""Of the right answer, where the model is held to what it said before."""


def asked_before(rng: random.Random, style: Style, step: int) -> Batch:
    """What `demo.train` asks, in smaller batches: mostly about one picture, at every twelfth step from the
    fourth on about two, and from the eighth on, by turns, without any or with the question first.
    """
    match step % 12:
        case 4:
            return batches.two_pictures(rng, style, USUAL, 3, 320)
        case 8 if step % 24 == 8:
            return batches.talk(rng, 8, 384)
        case 8:
            return batches.question_first(rng, style, USUAL, 8, 112)
        case _:
            return batches.one_picture(rng, style, USUAL, 5, 520)


@dataclass(frozen=True, slots=True)
class Answered:
    """What the decoder makes of a batch: of its n tokens that have to be answered `logits` (n, vocabulary +
    1), `wanted` (n,) and `losses` (n,); `asked` (B, R): which they are.
    """

    pack: Packs
    images: Tensor
    hidden: Hidden
    asked: Tensor
    logits: Tensor
    wanted: Tensor
    losses: Tensor

    def measures(self, kind: str) -> Measures:
        """Mean loss and share of right tokens, under the name of a kind of batch."""
        right = (self.logits.argmax(-1) == self.wanted).float().mean()
        return {f"{kind}_answer": self.losses.mean().item(), f"{kind}_token": right.item()}


class HeldTask(DemoTask):
    """The whole model, of which only the decoder learns, and `heads`, by the beginnings of their names."""

    def __init__(self, *heads: str) -> None:
        super().__init__(is_compiled=False)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(("decoder.", *heads)))
        self._before = deepcopy(self.decoder)
        self._was_known = torch.ones(len(trained_ids()) + 1, dtype=torch.bool)

    def begin(self, weights: dict[str, Tensor], known: Tensor) -> None:
        """Start from weights, which are also what answers are held to. `known` (trained ids,): ids that they
        know: of all others they have no opinion.
        """
        self.load_state_dict(weights, strict=False)
        self._before = deepcopy(self.decoder).requires_grad_(False)
        self._was_known = torch.cat([torch.isin(torch.tensor(trained_ids()), known), torch.tensor([True])])

    def arrays(self, batch: Batch) -> tuple[object, ...]:
        """What `answered` needs of a batch."""
        return (
            batch.crops,
            batch.prefix_rows,
            batch.image_starts,
            batch.region_rows,
            batch.positions,
            batch.segments,
            batch.targets,
        )

    def answered(self, *arrays: Any, sharpness: float = 1.0) -> Answered:
        """What the decoder says to a batch. `sharpness`: of its logits."""
        *shown, targets = arrays
        pack, images = self._shown(*shown)
        hidden = self.decoder(pack, images)
        asked = targets != IGNORED
        logits, wanted = self.decoder.logits(hidden.last[asked] * sharpness), targets[asked]
        losses = functional.cross_entropy(logits, wanted, reduction="none")
        return Answered(pack, images, hidden, asked, logits, wanted, losses)

    def held(self, answered: Answered) -> tuple[Tensor, Measures]:
        """Loss of answers that are held to what the model said before, and how far they are from that."""
        apart = self._apart(answered)
        return apart + _TRUTH_WEIGHT * answered.losses.mean(), {"before_apart": apart.item()}

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

    def _apart(self, answered: Answered) -> Tensor:
        """In nats a token."""
        with torch.no_grad():
            hidden = self._before(answered.pack, answered.images)
            before = self._before.logits(hidden.last[answered.asked])
            before = before.masked_fill(~self._was_known, -1e9).log_softmax(-1)
        return functional.kl_div(
            answered.logits.log_softmax(-1), before, reduction="batchmean", log_target=True
        )
