"""A budget for the bodies of a process."""

import pytest

from phiserve.api.body_budget import FREE_BYTES, BodyBudget, BodyShare
from phiserve.errors import Overloaded


def test_bodies_share_the_budget() -> None:
    """What one holds another lacks, until it is released."""
    budget = BodyBudget(1000)
    first, second = BodyShare(budget), BodyShare(budget)
    first.add(FREE_BYTES)
    first.add(600)
    second.announce(FREE_BYTES + 400)
    with pytest.raises(Overloaded):
        second.announce(FREE_BYTES + 401)
    second.add(FREE_BYTES + 400)
    with pytest.raises(Overloaded):
        second.add(1)
    first.release()
    second.add(600)
    second.release()
    second.release()
    assert budget.held_bytes == 0


def test_a_share_that_is_released_takes_nothing() -> None:
    """What is loaded for somebody who has gone would never give it back."""
    budget = BodyBudget(1000)
    with BodyShare(budget) as share:
        share.add(FREE_BYTES + 600)
        assert budget.held_bytes == 600
    with pytest.raises(Overloaded):
        share.add(1)
    assert budget.held_bytes == 0


def test_what_is_written_away_is_held_no_longer() -> None:
    """A share may shrink, and makes room for others."""
    budget = BodyBudget(1000)
    first, second = BodyShare(budget), BodyShare(budget)
    first.hold(FREE_BYTES + 900)
    with pytest.raises(Overloaded):
        second.hold(FREE_BYTES + 101)
    assert budget.held_bytes == 900
    first.hold(FREE_BYTES + 10)
    second.hold(FREE_BYTES + 990)
    assert budget.held_bytes == 1000
    first.hold(0)
    second.release()
    assert budget.held_bytes == 0


def test_small_bodies_always_fit() -> None:
    """A text is not locked out by large bodies."""
    budget = BodyBudget(0)
    for _ in range(100):
        share = BodyShare(budget)
        share.announce(FREE_BYTES)
        share.add(FREE_BYTES)
    assert budget.held_bytes == 0
