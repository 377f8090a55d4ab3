"""The training of the whole model: which batch at which step, what a token sees, and that a step can be
taken.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from demo import batches, train
from demo.style import four_fonts
from demo.train import EASY_UNTIL, PLAN, DemoTask, region_mask
from demo.train_projection import ProjectionTask
from demo.train_tower import TowerTask, tower_batch


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is compiled here."""
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *arguments, **options: None)


def test_what_a_token_sees() -> None:
    """The prefix, and of its own branch what stands before it and itself."""
    mask = region_mask(torch.tensor([[1, 1, 2, 2, 0]]), 3)
    seen = ["".join("x" if sees else "." for sees in row) for row in mask[0, 0].tolist()]
    assert mask.shape == (1, 1, 5, 8)
    assert seen == ["xxxx....", "xxxxx...", "xxx..x..", "xxx..xx.", "xxx....x"]


def test_which_batch_at_which_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve steps one is talk, one has the question first; two pictures come after the easy beginning."""
    for name in ("talk", "question_first", "two_pictures", "one_picture"):
        monkeypatch.setattr(batches, name, lambda *arguments, name=name: name)
    early = [str(train.draw_batch(step)) for step in range(12)]
    late = [str(train.draw_batch(step)) for step in range(PLAN.steps - 12, PLAN.steps)]
    assert (early.count("two_pictures"), late.count("two_pictures")) == (0, 2)
    for drawn in (early, late):
        assert (drawn.count("talk"), drawn.count("question_first")) == (1, 1)
        assert drawn.count("one_picture") >= 8


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("pictures", "turn"), [(0, 5), (1, 0), (2, 3)])
def test_a_step(pictures: int, turn: int, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of any kind goes through the task as the trainer hands it over, and teaches what it should:
    late, the tower too.
    """
    step = PLAN.steps // 12 * 12 - 12 + turn if late else turn
    if pictures == 2 and not late:
        step = next(step for step in range(3, PLAN.steps, 12) if step >= EASY_UNTIL * PLAN.steps)
    monkeypatch.setattr(train, "PAGES", 2)
    monkeypatch.setattr(batches, "talk", lambda rng, size, region, make=batches.talk: make(rng, 2, region))
    for name in ("one_picture", "two_pictures"):
        make = getattr(batches, name)
        monkeypatch.setattr(
            batches,
            name,
            lambda rng, style, shares, _, region, make=make: make(rng, style, shares, 1, region),
        )
    task = DemoTask()
    batch: list[Any] = [
        torch.from_numpy(array) if isinstance(array, np.ndarray) else array for array in task.batch(step)
    ]
    with torch.autocast("cpu", torch.bfloat16):
        loss, measures = task.loss(*batch)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert f"answer{pictures}" in measures
    assert (f"place{pictures}" in measures) == (pictures > 0)
    untaught = {name.partition(".")[0] for name, weight in task.named_parameters() if weight.grad is None}
    of_pictures, of_sight = (
        {"place_head", "role_head", "glyph_head"},
        {"tower", "reader", "projection", "carrying_head"},
    )
    assert untaught == (set() if pictures else of_pictures) | (set() if late else of_sight)


def test_a_step_of_the_projection() -> None:
    """Only the projection and the head that reads its tokens learn."""
    task = ProjectionTask()
    loss, measures = task.loss(*map(torch.from_numpy, tower_batch("projection/0", 2, four_fonts())))
    loss.backward()  # type: ignore[no-untyped-call]
    taught = {name.partition(".")[0] for name, weight in task.named_parameters() if weight.grad is not None}
    assert taught == {"projection", "carrying_head"}
    assert {*measures} == {f"held_{name}" for name in ("glyphs", "edges", "counts", "colours")}


def test_stages_are_taken_over() -> None:
    """What one stage saves, the next one needs: the tower's and its reader's weights, then all."""
    tower: dict[str, Tensor] = TowerTask().state_dict()
    loaded = ProjectionTask().load_state_dict(tower, strict=False)
    assert loaded.unexpected_keys == []
    assert [name for name in loaded.missing_keys if name.startswith(("tower.", "reader."))] == []
    DemoTask().load_state_dict(ProjectionTask().state_dict())
