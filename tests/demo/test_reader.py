"""The tower is asked for the glyph in each third of each patch, and for the edges of shapes."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from demo.canvas import Canvas, Glyph
from demo.reader import CLASSES, GLYPHS, IGNORED, SLOTS, Reader, glyph_labels
from drawings import KINDS, scenes
from phiserve.checkpoint.demo_tower import OUT, SIDE


def labels(*glyphs: Glyph) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return glyph_labels(Canvas((336, 336), (255, 255, 255), list(glyphs)))


def test_a_glyph_is_in_a_third_of_a_patch() -> None:
    """Row, column and third come from the centre; everything else is blank."""
    found = labels(Glyph("A", 14 * 3 + 0.1, 14 * 2 + 13.9), Glyph("9", 14 * 3 + 13.9, 14 * 2), Glyph("b", 14 * 3 + 7, 14 * 2))
    assert found[2, 3].tolist() == [1, GLYPHS.index("b") + 1, CLASSES - 1]
    assert (found > 0).sum() == 3


def test_what_can_not_be_told() -> None:
    """Two glyphs in one third are not asked for; beyond the picture there is nothing."""
    found = labels(Glyph("A", 15, 15), Glyph("B", 16, 15), Glyph("C", -3, 20), Glyph("D", 20, 336.5))
    assert found[1, 1].tolist() == [IGNORED, 0, 0]
    assert (found != 0).sum() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_nearly_all_glyphs_are_asked_for(kind: str) -> None:
    """Thirds are fine enough: at most one in fifty glyphs shares its own."""
    asked = [glyph_labels(scene.canvas) for scene in scenes(kind)]
    drawn = sum(len(scene.canvas.glyphs) for scene in scenes(kind))
    assert sum((found > 0).sum() for found in asked) >= 0.98 * drawn


def told(glyphs: torch.Tensor, edges: torch.Tensor) -> Reader:
    """A reader that reads, off one-hot numbers of patches, just these labels of the first OUT patches."""
    reader = Reader()
    with torch.no_grad():
        reader.glyphs.weight.copy_(40 * functional.one_hot(glyphs[0, :OUT].clamp(min=0), CLASSES).flatten(1).T)
        reader.edges.weight.copy_(40 * functional.one_hot(edges[0, :OUT], 4).T)
        for linear in (reader.glyphs, reader.edges):
            linear.bias.zero_()
    return reader


def test_loss_and_measures() -> None:
    """A reader that is right has no loss and measures of 1; one glyph wrong of two halves its measure; what is ignored is not."""
    output = torch.eye(OUT)[None]
    glyphs, edges = torch.zeros(1, OUT, SLOTS, dtype=torch.long), torch.zeros(1, OUT, dtype=torch.long)
    glyphs[0, 3, 1], glyphs[0, 5, 0], edges[0, 7], glyphs[0, 8, 2] = 4, 62, 2, IGNORED
    reader = told(glyphs, edges)
    loss, measures = reader.loss(output, glyphs, edges)
    assert loss.item() < 1e-3
    assert measures == {"glyphs": 1, "blanks": 1, "edges": 1}
    wrong = glyphs.clone()
    wrong[0, 3, 1] = 5
    loss, measures = reader.loss(output, wrong, edges)
    assert loss.item() > 0.1
    assert measures == {"glyphs": 0.5, "blanks": 1, "edges": 1}


def test_labels_cover_the_picture() -> None:
    """(24, 24, SLOTS), as many patches as the tower tells of."""
    assert labels().shape == (SIDE, SIDE, SLOTS)
