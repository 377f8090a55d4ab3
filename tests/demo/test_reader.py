"""The tower is asked for the glyphs of each patch in their order, for the edges of shapes, and for what stands before."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from demo.canvas import Canvas, Glyph
from demo.reader import (
    CLASSES,
    COUNT_LABEL,
    COUNTS,
    EDGE_LABEL,
    EDGES,
    GLYPH_LABELS,
    GLYPHS,
    IGNORED,
    LABELS,
    Reader,
    patch_labels,
)
from drawings import KINDS, scenes
from phiserve.checkpoint.demo_tower import OUT, SIDE


def labels(*glyphs: Glyph) -> NDArray[np.int64]:
    return patch_labels(Canvas((336, 336), (255, 255, 255), list(glyphs)))


def test_glyphs_stand_in_their_order() -> None:
    """Row and column of a patch come from the centre, the slot from the order; everything else is blank."""
    found = labels(Glyph("9", 14 * 3 + 13.9, 14 * 2), Glyph("A", 14 * 3 + 0.1, 14 * 2 + 13.9), Glyph("b", 14 * 4, 14 * 2))
    assert found[2, 3, GLYPH_LABELS].tolist() == [1, CLASSES - 1, 0]
    assert found[2, 4, GLYPH_LABELS].tolist() == [GLYPHS.index("b") + 1, 0, 0]
    assert (found[..., GLYPH_LABELS] > 0).sum() == 3


def test_counts() -> None:
    """A patch with glyphs knows how many stand left of it in its row of patches; the others are not asked."""
    found = labels(*(Glyph("i", x, 20) for x in (300, 3, 16, 20, 200)), Glyph("j", 250, 50))[..., COUNT_LABEL]
    assert {column: found[1, column] for column in (0, 1, 14, 21)} == {0: 0, 1: 1, 14: 3, 21: 4}
    assert found[3, 17] == 0
    assert (found != IGNORED).sum() == 5


def test_what_can_not_be_told() -> None:
    """The third of four glyphs in a patch is not asked for, nor the fourth; beyond the picture there is nothing."""
    found = labels(*(Glyph("A", 14 + x, 15) for x in range(4)), Glyph("C", -3, 20), Glyph("D", 20, 336.5))[..., GLYPH_LABELS]
    assert found[1, 1].tolist() == [1, 1, IGNORED]
    assert (found != 0).sum() == 3
    crowd = labels(*(Glyph("i", 3 + 5 * number, 20) for number in range(60)))[1, :, COUNT_LABEL]
    assert crowd.max() < COUNTS
    assert crowd[-1] == IGNORED


@pytest.mark.parametrize("kind", KINDS)
def test_nearly_all_glyphs_are_asked_for(kind: str) -> None:
    """Slots are enough: at most one in fifty glyphs finds none. Edges are the canvas's own."""
    drawn = scenes(kind)
    asked = [patch_labels(scene.canvas) for scene in drawn]
    count = sum(len(scene.canvas.glyphs) for scene in drawn)
    assert sum((found[..., GLYPH_LABELS] > 0).sum() for found in asked) >= 0.98 * count
    for scene, found in zip(drawn, asked, strict=True):
        np.testing.assert_array_equal(found[..., EDGE_LABEL], scene.canvas.edge_patches())


def told(wanted: torch.Tensor) -> Reader:
    """A reader that reads, off one-hot numbers of patches, just these labels of the first OUT patches."""
    reader = Reader()
    with torch.no_grad():
        for linear, column, classes in (
            (reader.glyphs, GLYPH_LABELS, CLASSES),
            (reader.edges, EDGE_LABEL, EDGES),
            (reader.counts, COUNT_LABEL, COUNTS),
        ):
            linear.weight.copy_(40 * functional.one_hot(wanted[0, :, column].clamp(min=0), classes).flatten(1).T)
            linear.bias.zero_()
    return reader


def test_loss_and_measures() -> None:
    """A reader that is right has no loss and measures of 1; one glyph wrong of two halves its measure; what is ignored is not."""
    wanted = torch.zeros(1, OUT, LABELS, dtype=torch.long)
    wanted[..., COUNT_LABEL] = IGNORED
    wanted[0, 3, 1], wanted[0, 5, 0], wanted[0, 7, EDGE_LABEL], wanted[0, 8, 2], wanted[0, 5, COUNT_LABEL] = 4, 62, 2, IGNORED, 7
    reader, output = told(wanted), torch.eye(OUT)[None]
    loss, measures = reader.loss(output, wanted)
    assert loss.item() < 1e-3
    assert measures == {"glyphs": 1, "blanks": 1, "edges": 1, "counts": 1}
    for row, column, measure, value in ((3, 1, "glyphs", 0.5), (7, EDGE_LABEL, "edges", 0), (5, COUNT_LABEL, "counts", 0)):
        wrong = wanted.clone()
        wrong[0, row, column] -= 1
        loss, changed = reader.loss(output, wrong)
        assert loss.item() > 0.1
        assert changed == measures | {measure: value}


def test_labels_cover_the_picture() -> None:
    """As many patches as the tower tells of."""
    assert labels().shape == (SIDE, SIDE, LABELS)
