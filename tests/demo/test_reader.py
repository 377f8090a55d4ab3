"""The tower is asked for the glyphs of each patch in their order, for the edges of shapes, and for counts of
what it reads.
"""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
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
    SLOTS,
    Reader,
    edge_and_count_measures,
    patch_labels,
    reading_of,
)
from drawings import KINDS, scenes
from phiserve.checkpoint.demo_tower import SIDE


def labels(*glyphs: Glyph) -> NDArray[np.int64]:
    return patch_labels(Canvas((336, 336), (255, 255, 255), list(glyphs)))


def test_glyphs_stand_in_their_order() -> None:
    """Row and column of a patch come from the centre, the slot from the order; everything else is blank."""
    found = labels(
        Glyph("9", 14 * 3 + 13.9, 14 * 2), Glyph("A", 14 * 3 + 0.1, 14 * 2 + 13.9), Glyph("b", 14 * 4, 14 * 2)
    )
    assert found[2, 3, GLYPH_LABELS].tolist() == [1, CLASSES - 1, 0]
    assert found[2, 4, GLYPH_LABELS].tolist() == [GLYPHS.index("b") + 1, 0, 0]
    assert (found[..., GLYPH_LABELS] > 0).sum() == 3


def test_counts() -> None:
    """Of what was read, a patch with glyphs knows how many stand left of it in its row; others, and too many,
    do not count.
    """
    glyphs = torch.zeros(1, 24, 24, SLOTS, dtype=torch.long)
    glyphs[0, 1, 0, 0] = glyphs[0, 1, 14, 0] = glyphs[0, 3, 17, 0] = 5
    glyphs[0, 1, 2, :2] = 7
    glyphs[0, 5] = 9
    edges = torch.arange(576)[None] % EDGES
    read = reading_of(glyphs.flatten(1, 2), edges)
    counts = torch.unflatten(read[0, :, COUNT_LABEL], 0, (24, 24))
    assert {column: counts[1, column].item() for column in (0, 2, 14)} == {0: 0, 2: 1, 14: 3}
    assert counts[3, 17] == 0
    assert counts[5].tolist() == [3 * column if 3 * column < COUNTS else IGNORED for column in range(24)]
    assert (counts[[0, 1, 2, 3, 4]] != IGNORED).sum() == 4
    assert torch.equal(read[..., EDGE_LABEL], edges)
    assert torch.equal(read[..., GLYPH_LABELS], glyphs.flatten(1, 2))


def test_what_can_not_be_told() -> None:
    """The third of four glyphs in a patch is not asked for, nor the fourth; beyond the picture there is
    nothing.
    """
    found = labels(*(Glyph("A", 14 + x, 15) for x in range(4)), Glyph("C", -3, 20), Glyph("D", 20, 336.5))[
        ..., GLYPH_LABELS
    ]
    assert found[1, 1].tolist() == [1, 1, IGNORED]
    assert (found != 0).sum() == 3


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
    """A reader that reads, off one-hot numbers of patches, just these glyphs and edges of a picture."""
    reader = Reader()
    reader.glyphs, reader.edges = (nn.Linear(576, width) for width in (SLOTS * CLASSES, EDGES))
    reader.counts = nn.Linear(576, COUNTS)
    with torch.no_grad():
        for linear, column, classes in (
            (reader.glyphs, GLYPH_LABELS, CLASSES),
            (reader.edges, EDGE_LABEL, EDGES),
        ):
            linear.weight.copy_(
                40 * functional.one_hot(wanted[0, :, column].clamp(min=0), classes).flatten(1).T
            )
            linear.bias.zero_()
    return reader


def a_line() -> torch.Tensor:
    """Labels of a row that holds two glyphs, and of an edge."""
    wanted = torch.zeros(1, 576, LABELS, dtype=torch.long)
    wanted[0, 30, 0], wanted[0, 33, 0], wanted[0, 300, EDGE_LABEL] = 4, 62, 2
    return wanted


def test_loss_and_measures() -> None:
    """A reader that is right has measures of 1; a wrong glyph or edge raises its loss and lowers its
    measure.
    """
    wanted = a_line()
    reader, output = told(wanted), torch.eye(576)[None]
    loss, measures = reader.loss(output, wanted)
    assert measures | {"counts": 1} == {"glyphs": 1, "rows": 1, "edges": 1, "counts": 1}
    for place, column, changes in ((33, 0, {"glyphs": 0.5, "rows": 0}), (300, EDGE_LABEL, {"edges": 0})):
        wrong = wanted.clone()
        wrong[0, place, column] -= 1
        worse, changed = reader.loss(output, wrong)
        assert worse > loss + 0.1
        assert changed == measures | changes


def test_another_patch_may_claim_a_glyph() -> None:
    """The text stays right, and costs little; claimed by both, it is wrong."""
    wanted = a_line()
    moved = wanted.clone()
    moved[0, 34, 0], moved[0, 33, 0] = wanted[0, 33, 0], 0
    doubled = moved.clone()
    doubled[0, 33, 0] = wanted[0, 33, 0]
    output = torch.eye(576)[None]
    (right, _), (near, measures), (double, twice) = (
        told(read).loss(output, wanted) for read in (wanted, moved, doubled)
    )
    assert measures["rows"] == 1
    assert twice["rows"] == 0
    assert right < near < double


def test_counts_are_asked_where_they_are_known() -> None:
    """Where all are IGNORED, counts cost nothing."""
    reading = torch.full((1, 576, SLOTS + 2), IGNORED)
    reading[..., EDGE_LABEL] = 0
    edges = 40 * functional.one_hot(reading[..., EDGE_LABEL], EDGES).float()
    assert edge_and_count_measures(edges, torch.randn(1, 576, COUNTS), reading)[0] < 1e-6
    reading[0, 5, COUNT_LABEL] = 3
    assert edge_and_count_measures(edges, torch.zeros(1, 576, COUNTS), reading)[0] > 0.5


def test_labels_cover_the_picture() -> None:
    """As many patches as the tower tells of."""
    assert labels().shape == (SIDE, SIDE, LABELS)
