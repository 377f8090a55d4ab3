"""What the tower is trained on: which glyphs and which shape's edge each patch holds, and how many glyphs stand before it."""

import string
from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from demo.canvas import EDGE_KINDS, Canvas
from phiserve.checkpoint.demo_tower import OUT, PATCH, SIDE

GLYPHS = string.ascii_uppercase + string.ascii_lowercase + string.digits
SLOTS = 3
"""Places for glyphs side by side in a patch: narrow letters stand close."""

EDGES = len(EDGE_KINDS) + 1
COUNTS = 32

GLYPH_LABELS, EDGE_LABEL, COUNT_LABEL = slice(0, SLOTS), SLOTS, SLOTS + 1
LABELS = SLOTS + 2
"""Columns of a patch's labels."""

CLASSES = len(GLYPHS) + 1
"""Glyphs, from 1; 0 is none."""

IGNORED = -100
_BLANK_WEIGHT, _COUNT_WEIGHT = 0.2, 0.3

Measures = dict[str, float]
_NUMBER = {character: number + 1 for number, character in enumerate(GLYPHS)}


def patch_labels(canvas: Canvas) -> NDArray[np.int64]:
    """(24, 24, LABELS), IGNORED where there is nothing to tell.

    GLYPH_LABELS: the glyphs whose centres lie in this patch, from left to right, then 0; EDGE_LABEL: 0, or which kind of shape
    has its edge here, from 1; COUNT_LABEL: how many glyphs stand left of a patch with glyphs, in its row of patches.
    """
    labels = np.zeros((SIDE, SIDE, LABELS), np.int64)
    labels[..., COUNT_LABEL] = IGNORED
    labels[..., EDGE_LABEL] = canvas.edge_patches()
    rows: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for glyph in canvas.glyphs:
        if 0 <= glyph.y < SIDE * PATCH and 0 <= glyph.x < SIDE * PATCH:
            rows[int(glyph.y // PATCH)].append((glyph.x, glyph.character))
    for row, glyphs in rows.items():
        for number, (x, character) in enumerate(sorted(glyphs)):
            patch = labels[row, int(x // PATCH)]
            if patch[COUNT_LABEL] == IGNORED and number < COUNTS:
                patch[COUNT_LABEL] = number
            slot = int((patch[GLYPH_LABELS] != 0).sum())
            patch[min(slot, SLOTS - 1)] = _NUMBER[character] if slot < SLOTS else IGNORED
    return labels


class Reader(nn.Module):
    """Reads glyphs, edges and counts off the tower's output. Only training has it."""

    def __init__(self) -> None:
        super().__init__()
        self.glyphs = nn.Linear(OUT, SLOTS * CLASSES)
        self.edges = nn.Linear(OUT, EDGES)
        self.counts = nn.Linear(OUT, COUNTS)

    def loss(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Measures]:
        """Loss and measures. `output` (n, 576, OUT), `labels` (n, 576, LABELS)."""
        return patch_measures(self.glyphs(output), self.edges(output), self.counts(output), labels)


def patch_measures(glyphs: Tensor, edges: Tensor, counts: Tensor, labels: Tensor) -> tuple[Tensor, Measures]:
    """Loss and measures of what is told of patches: logits (n, …, SLOTS * CLASSES), (…, EDGES), (…, COUNTS); (n, …, LABELS)."""
    read = torch.unflatten(glyphs, -1, (SLOTS, CLASSES))
    glyph_loss, share = glyph_measures(read, labels[..., GLYPH_LABELS])
    weights = torch.ones(EDGES)
    weights[0] = _BLANK_WEIGHT
    kinds, numbers = labels[..., EDGE_LABEL], labels[..., COUNT_LABEL]
    edge_loss = functional.cross_entropy(edges.float().flatten(0, -2), kinds.flatten(), weight=weights)
    count_loss = asked_loss(counts, numbers)
    with torch.no_grad():
        blank = labels[..., GLYPH_LABELS] == 0
        measures = {
            "glyphs": share,
            "blanks": (read.argmax(-1) == 0)[blank].float().mean().item(),
            "edges": (edges.argmax(-1) == kinds)[kinds > 0].float().mean().item(),
            "counts": (counts.argmax(-1) == numbers)[numbers >= 0].float().mean().item(),
        }
    return glyph_loss + 0.5 * edge_loss + _COUNT_WEIGHT * count_loss, measures


def asked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss where labels (…) are not IGNORED, 0 where all are; logits (…, classes)."""
    total = functional.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (labels != IGNORED).sum().clamp(min=1)


def glyph_measures(logits: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Loss of glyphs read, and the share of glyphs read right: logits (…, CLASSES), labels (…) with IGNORED."""
    weights = torch.ones(CLASSES)
    weights[0] = _BLANK_WEIGHT
    loss = functional.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), weight=weights, ignore_index=IGNORED)
    found = labels > 0
    return loss, (logits.detach().argmax(-1) == labels)[found].float().mean().item()
