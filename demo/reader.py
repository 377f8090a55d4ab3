"""What the tower is trained on: which glyphs and which shape's edge each patch holds, and how many glyphs
stand before it.
"""

import string

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from demo.canvas import EDGE_KINDS, Canvas
from demo.transcript import transcript_loss
from phiserve.checkpoint.demo_tower import OUT, PATCH, SIDE

GLYPHS = string.ascii_uppercase + string.ascii_lowercase + string.digits
SLOTS = 3
"""Places for glyphs side by side in a patch: narrow letters stand close."""

EDGES = len(EDGE_KINDS) + 1
COUNTS = 32

GLYPH_LABELS, EDGE_LABEL, COUNT_LABEL = slice(0, SLOTS), SLOTS, SLOTS + 1
LABELS, READING = SLOTS + 1, SLOTS + 2
"""Columns of a patch's labels: its glyphs and edge; and of what was read there: how many glyphs stand before
it, too."""

CLASSES = len(GLYPHS) + 1
"""Glyphs, from 1; 0 is none."""

IGNORED = -100
_BLANK_WEIGHT, _COUNT_WEIGHT, _PLACED_WEIGHT = 0.2, 0.3, 0.2

Measures = dict[str, float]
_NUMBER = {character: number + 1 for number, character in enumerate(GLYPHS)}


def patch_labels(canvas: Canvas) -> NDArray[np.int64]:
    """(24, 24, LABELS): the glyphs whose centres lie in a patch, from left to right, then 0, IGNORED where
    there are too many; and 0, or which kind of shape has its edge there, from 1.
    """
    labels = np.zeros((SIDE, SIDE, LABELS), np.int64)
    labels[..., EDGE_LABEL] = canvas.edge_patches()
    for glyph in sorted(canvas.glyphs, key=lambda glyph: glyph.x):
        if 0 <= glyph.y < SIDE * PATCH and 0 <= glyph.x < SIDE * PATCH:
            patch = labels[int(glyph.y // PATCH), int(glyph.x // PATCH)]
            slot = int((patch[GLYPH_LABELS] != 0).sum())
            patch[min(slot, SLOTS - 1)] = _NUMBER[glyph.character] if slot < SLOTS else IGNORED
    return labels


class Reader(nn.Module):
    """Reads glyphs, edges and counts off the tower's output. Only training has it."""

    def __init__(self) -> None:
        super().__init__()
        self.glyphs = nn.Linear(OUT, SLOTS * CLASSES)
        self.edges = nn.Linear(OUT, EDGES)
        self.counts = nn.Linear(OUT, COUNTS)

    def loss(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Measures]:
        """Loss and measures. `output` (n, 576, OUT), `labels` (n, 576, LABELS). Counts are of the glyphs that
        it reads itself.
        """
        read = torch.unflatten(self.glyphs(output), -1, (SLOTS, CLASSES))
        text_loss, rows = transcript_loss(read, labels[..., GLYPH_LABELS])
        glyph_loss, share = glyph_measures(read, labels[..., GLYPH_LABELS])
        own = reading_of(read.detach().argmax(-1), labels[..., EDGE_LABEL])
        other_loss, measures = edge_and_count_measures(self.edges(output), self.counts(output), own)
        return text_loss + _PLACED_WEIGHT * glyph_loss + other_loss, measures | {
            "glyphs": share,
            "rows": rows,
        }

    @torch.no_grad()
    def reading(self, output: Tensor) -> Tensor:
        """What the tower has read: `output` (n, 576, OUT) -> (n, 576, READING)."""
        glyphs = torch.unflatten(self.glyphs(output), -1, (SLOTS, CLASSES)).argmax(-1)
        return reading_of(glyphs, self.edges(output).argmax(-1))


def reading_of(glyphs: Tensor, edges: Tensor) -> Tensor:
    """Glyphs (n, 576, SLOTS) and edges (n, 576) with their counts: (n, 576, READING)."""
    held = (glyphs > 0).sum(-1)
    rows = torch.unflatten(held, 1, (SIDE, SIDE))
    before = (rows.cumsum(2) - rows).flatten(1)
    counts = before.where((held > 0) & (before < COUNTS), IGNORED)
    return torch.cat([glyphs, edges[..., None], counts[..., None]], -1)


def edge_and_count_measures(edges: Tensor, counts: Tensor, reading: Tensor) -> tuple[Tensor, Measures]:
    """Loss and measures of what is told of patches: logits (n, …, EDGES), (n, …, COUNTS), truth (n, …,
    READING).
    """
    weights = torch.ones(EDGES)
    weights[0] = _BLANK_WEIGHT
    kinds, numbers = reading[..., EDGE_LABEL], reading[..., COUNT_LABEL]
    edge_loss = functional.cross_entropy(edges.float().flatten(0, -2), kinds.flatten(), weight=weights)
    with torch.no_grad():
        measures = {
            "edges": (edges.argmax(-1) == kinds)[kinds > 0].float().mean().item(),
            "counts": (counts.argmax(-1) == numbers)[numbers >= 0].float().mean().item(),
        }
    return 0.5 * edge_loss + _COUNT_WEIGHT * asked_loss(counts, numbers), measures


def asked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss where labels (…) are not IGNORED, 0 where all are; logits (…, classes)."""
    total = functional.cross_entropy(
        logits.float().flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels != IGNORED).sum().clamp(min=1)


def glyph_measures(logits: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Loss of glyphs read, and the share of glyphs read right: logits (…, CLASSES), labels (…) with
    IGNORED.
    """
    weights = torch.ones(CLASSES)
    weights[0] = _BLANK_WEIGHT
    loss = functional.cross_entropy(
        logits.float().flatten(0, -2), labels.flatten(), weight=weights, ignore_index=IGNORED
    )
    found = labels > 0
    return loss, (logits.detach().argmax(-1) == labels)[found].float().mean().item()
