"""The tower is trained on pages of text and the pictures of all tasks."""

import random
from collections import Counter

import numpy as np
import pytest
import torch

from demo import train_tower
from demo.reader import LABELS
from demo.style import four_fonts
from demo.train_tower import TowerTask, draw_canvas, tower_batch


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compiled here."""
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *arguments, **options: None)


def test_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half are pages; books, charts, shapes and lines share the rest."""
    drawn: Counter[str] = Counter()
    for name in ("draw_page", "draw_book", "draw_chart", "draw_shapes", "draw_line"):
        draw = getattr(train_tower, name)
        monkeypatch.setattr(
            train_tower, name, lambda *a, name=name, draw=draw: drawn.update([name]) or draw(*a)
        )
    rng = random.Random(0)
    for _ in range(120):
        draw_canvas(rng, four_fonts())
    assert 0.4 < drawn["draw_page"] / 120 < 0.6
    assert len(drawn) == 5


def test_a_batch() -> None:
    """Crops and labels of as many pictures; the same seed gives the same, another one others."""
    batch, again, other = (tower_batch(seed, 3, four_fonts()) for seed in ("a", "a", "b"))
    assert [array.shape for array in batch] == [(3, 336, 336, 3), (3, 576, LABELS)]
    for one, two in zip(batch, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert (batch[0] != other[0]).any()
    assert (batch[1] > 0).any()


def test_a_step() -> None:
    """The loss is finite and reaches every weight."""
    task = TowerTask()
    arrays = tower_batch("shapes too/1", 3, four_fonts())
    loss, measures = task.loss(*map(torch.from_numpy, arrays))
    loss.backward()  # type: ignore[no-untyped-call]
    assert {*measures} == {"glyphs", "rows", "edges", "counts"}
    assert [
        name for name, weight in task.named_parameters() if weight.grad is None or not weight.grad.any()
    ] == []
