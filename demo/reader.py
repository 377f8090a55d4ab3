"""What the tower is trained on: which glyph and which shape's edge each patch holds."""

import string

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

CLASSES = len(GLYPHS) + 1
"""Glyphs, from 1; 0 is none."""

IGNORED = -100
_BLANK_WEIGHT = 0.1
_NUMBER = {character: number + 1 for number, character in enumerate(GLYPHS)}


def glyph_labels(canvas: Canvas) -> NDArray[np.int64]:
    """(24, 24, SLOTS): the glyph whose centre lies in this third of this patch; IGNORED where there are several."""
    labels = np.zeros((SIDE, SIDE * SLOTS), np.int64)
    for glyph in canvas.glyphs:
        row, third = int(glyph.y // PATCH), int(glyph.x * SLOTS // PATCH)
        if 0 <= row < SIDE and 0 <= third < SIDE * SLOTS:
            labels[row, third] = IGNORED if labels[row, third] else _NUMBER[glyph.character]
    return labels.reshape(SIDE, SIDE, SLOTS)


class Reader(nn.Module):
    """Reads glyphs and edges off the tower's output. Only training has it."""

    def __init__(self) -> None:
        super().__init__()
        self.glyphs = nn.Linear(OUT, SLOTS * CLASSES)
        self.edges = nn.Linear(OUT, len(EDGE_KINDS) + 1)

    def loss(self, output: Tensor, glyphs: Tensor, edges: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss and measures. `output` (n, 576, OUT), `glyphs` (n, 576, SLOTS) classes, `edges` (n, 576) classes."""
        read = self.glyphs(output).unflatten(-1, (SLOTS, CLASSES))
        seen = self.edges(output).float()
        loss, share = glyph_measures(read, glyphs)
        edge_loss = functional.cross_entropy(seen.flatten(0, 1), edges.flatten())
        with torch.no_grad():
            blank = glyphs == 0
            measures = {
                "glyphs": share,
                "blanks": (read.argmax(-1) == glyphs)[blank].float().mean().item(),
                "edges": (seen.argmax(-1) == edges)[edges > 0].float().mean().item(),
            }
        return loss + 0.5 * edge_loss, measures


def glyph_measures(logits: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    """Loss of glyphs read, and the share of glyphs read right: logits (…, CLASSES), labels (…) with IGNORED."""
    weights = torch.ones(CLASSES)
    weights[0] = _BLANK_WEIGHT
    loss = functional.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), weight=weights, ignore_index=IGNORED)
    found = labels > 0
    return loss, (logits.detach().argmax(-1) == labels)[found].float().mean().item()
