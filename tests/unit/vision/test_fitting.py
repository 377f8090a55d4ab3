"""`detail` decides the crops, and `auto` gives way only as far as needed."""

from phiserve.vision.fitting import fit_crops
from phiserve.vision.sizes import plan_crops

SQUARE = (500, 500)


def crops_of(details: list[str], available: int, max_crops: int = 16) -> list[int]:
    return [plan.num_crops for plan in fit_crops([SQUARE] * len(details), details, max_crops, available)]


def test_low_high_auto() -> None:
    """With room for all, low is one crop, high and auto the whole max_crops."""
    assert crops_of(["low", "high", "auto"], 100_000) == [1, 16, 16]
    assert crops_of(["low", "high", "auto"], 100_000, max_crops=4) == [1, 4, 4]


def test_auto_steps_down_together_and_no_further_than_needed() -> None:
    """16, 9, 4, 1: the first step at which everything fits, the same for all `auto` images."""
    cost = {crops: plan_crops(*SQUARE, crops).num_tokens for crops in (16, 9, 4, 1)}
    assert crops_of(["auto", "auto"], 2 * cost[16]) == [16, 16]
    assert crops_of(["auto", "auto"], 2 * cost[16] - 1) == [9, 9]
    assert crops_of(["auto", "auto"], 2 * cost[9] - 1) == [4, 4]
    assert crops_of(["auto", "auto"], 2 * cost[4] - 1) == [1, 1]
    assert crops_of(["auto"], cost[1] - 1) == [1]


def test_others_are_not_touched() -> None:
    """`high` stays whole while `auto` gives way, and `low` stays low."""
    assert crops_of(["high", "auto", "low"], plan_crops(*SQUARE, 16).num_tokens + 2 * 313) == [16, 1, 1]
