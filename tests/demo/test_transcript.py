"""The loss of a row's text, against all alignments counted one by one."""

import itertools
import math

import pytest
import torch

from demo.reader import IGNORED
from demo.transcript import LONGEST, by_rows, in_order, transcript_loss

CLASSES = 3


def test_in_order() -> None:
    """Glyphs move to the front in their order, then nothing follows."""
    rows = torch.tensor([[0, 2, 0, 0, 1, 2], [0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 2]])
    assert in_order(rows)[:, :5].tolist() == [[2, 1, 2, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 2, 0]]
    assert in_order(torch.ones(1, 72, dtype=torch.long)).shape == (1, LONGEST)


def test_by_rows() -> None:
    """Slots of a row of patches side by side, from the left patch's first on; rows from above."""
    slots = torch.arange(2 * 576 * 3).view(2, 576, 3)
    assert torch.equal(by_rows(slots), torch.arange(2 * 576 * 3).view(48, 72))


@pytest.mark.parametrize("text", [[], [1], [2, 2], [1, 2, 1]])
def test_all_alignments_count(text: list[int]) -> None:
    """The probability of a text is the sum over the slots that may hold its glyphs; here only five slots are
    uncertain.
    """
    torch.manual_seed(len(text))
    logits = torch.zeros(1, 576, 3, CLASSES)
    logits[..., 0] = 60  # everything else is surely blank
    row = by_rows(logits)
    uncertain = torch.tensor([7, 8, 9, 10, 30])
    row[4, uncertain] = torch.randn(5, CLASSES)
    labels = torch.zeros(1, 576, 3, dtype=torch.long)
    by_rows(labels)[4, : len(text)] = torch.tensor(text, dtype=torch.long)
    chances = row[4, uncertain].softmax(-1)
    total = 0.0
    for held in itertools.combinations(range(5), len(text)):
        written = dict(zip(held, text, strict=True))
        total += math.prod(chances[slot, written.get(slot, 0)].item() for slot in range(5))
    loss, _ = transcript_loss(logits, labels)
    assert loss.item() == pytest.approx(-math.log(total) / max(1, len(text)), rel=1e-3)


def test_rows_that_can_not_be_told_are_not_asked() -> None:
    """Their loss is none, and they are neither right nor wrong."""
    logits = torch.randn(1, 576, 3, CLASSES)
    labels = torch.full((1, 576, 3), IGNORED)
    labels[:, :24] = 0
    labels[0, 3, 0] = 2
    loss, right = transcript_loss(logits, labels)
    changed = logits.clone()
    changed[:, 24:] += torch.randn(1, 552, 3, CLASSES)
    assert transcript_loss(changed, labels)[0].item() == pytest.approx(loss.item())
    assert right in (0, 1)


def test_rows_that_are_too_long_are_not_asked() -> None:
    """One glyph beyond LONGEST, and the row costs nothing."""
    labels = torch.zeros(1, 576, 3, dtype=torch.long)
    by_rows(labels)[2, :LONGEST] = 1
    logits = torch.zeros(1, 576, 3, CLASSES)
    logits[..., 0] = 60
    assert transcript_loss(logits, labels)[0].item() > 1
    by_rows(labels)[2, LONGEST] = 1
    assert transcript_loss(logits, labels)[0].item() < 1e-3
