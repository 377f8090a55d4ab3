"""Moments at which batches are disturbed: every stage has some, and none is waited for in vain."""

import random

import pytest

from e2e.moments import Moment, Stage, moments_of


@pytest.mark.parametrize("seed", range(5))
def test_all_stages(seed: int) -> None:
    """Are among the first three moments, and among those of each batch that comes after."""
    moments = moments_of(random.Random(seed), 30, 2)
    stages = [moment.stage for moment in moments]
    assert len(stages) == 30
    assert stages[:3] == ["validating", "in_progress", "finalizing"]
    assert stages[3:9] == stages[9:15] == ["validating", *["in_progress"] * 4, "finalizing"]
    assert {moment.victim for moment in moments} == {"engine", "server", "both"}
    assert all(moment.victim != "engine" for moment in moments if moment.stage != "in_progress")
    assert moments_of(random.Random(seed), 30, 2) == moments


@pytest.mark.parametrize(
    ("stage", "number", "status", "goes_on", "has_come"),
    [
        ("validating", 0, "validating", False, True),
        ("validating", 0, "in_progress", False, True),  # it was too fast: better now than never
        ("validating", 1, "in_progress", True, None),
        ("in_progress", 0, "validating", False, False),
        ("in_progress", 1, "in_progress", False, False),
        ("in_progress", 1, "in_progress", True, True),
        ("in_progress", 1, "finalizing", True, None),
        ("in_progress", 1, "completed", True, None),
        ("finalizing", 2, "in_progress", True, False),
        ("finalizing", 2, "finalizing", False, True),
        ("finalizing", 2, "completed", False, True),
    ],
)
def test_when_a_moment_comes(
    stage: Stage, number: int, status: str, goes_on: bool, has_come: bool | None
) -> None:
    """By the batch's status; None where the next batch has to be waited for."""
    assert Moment(stage, "server", 1).has_come(number, status, goes_on=goes_on) is has_come
