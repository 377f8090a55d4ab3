"""What matters of a line that is read is which glyphs it holds in which order, not which patch claims a glyph
on its border.

The loss of a row of patches is that of its text, whatever slots hold its glyphs (all alignments together, as
in CTC, but without merging equal neighbours), so that of two patches that see the same glyph just one learns
to claim it.
"""

import torch
from torch import Tensor
from torch.nn import functional

from phiserve.checkpoint.demo_tower import SIDE

LONGEST = 40
"""Glyphs in a row at most; rows that hold more are not asked for."""

_NEVER = -1e4


def by_rows(slots: Tensor) -> Tensor:
    """What is told of slots (n, 576, SLOTS, …), by rows of patches: (n * 24, 24 * SLOTS, …)."""
    return torch.unflatten(slots, 1, (SIDE, SIDE)).flatten(2, 3).flatten(0, 1)


def in_order(rows: Tensor) -> Tensor:
    """The glyphs of rows (r, slots), 0 being none, side by side from the first place on: (r, LONGEST)."""
    order = torch.argsort((rows == 0).int(), dim=1, stable=True)
    return rows.gather(1, order)[:, :LONGEST]


def transcript_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Loss per glyph of the texts of rows, and the share of rows with text that are read right.

    `logits` (n, 576, SLOTS, CLASSES), class 0 being none; `labels` (n, 576, SLOTS), negative where a row
    can't be told.
    """
    rows, wanted = by_rows(logits), by_rows(labels)
    texts = in_order(wanted.clamp(min=0))
    lengths = (texts > 0).sum(1)
    told = (wanted >= 0).all(1) & ((wanted > 0).sum(1) <= LONGEST)
    scores = functional.log_softmax(rows.float(), -1)
    blank, emitted = scores[..., 0], scores.gather(2, texts[:, None].expand(-1, scores.shape[1], -1))
    reached = torch.full((len(rows), LONGEST + 1), _NEVER)
    reached[:, 0] = 0
    for slot in range(scores.shape[1]):
        written = functional.pad(reached[:, :-1] + emitted[:, slot], (1, 0), value=_NEVER)
        reached = torch.logaddexp(reached + blank[:, slot, None], written)
    losses = -reached.gather(1, lengths[:, None])[:, 0]
    with torch.no_grad():
        right = (in_order(rows.argmax(-1)) == texts).all(1)[told & (lengths > 0)].float().mean().item()
    return losses[told].sum() / lengths[told].sum().clamp(min=1), right
