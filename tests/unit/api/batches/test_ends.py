"""How often engines may end over batches before none of their requests begins."""

import pytest

from phiserve.api.batches.ends import PERIOD_S, EngineEnds
from phiserve.engine.supervisor import RESTART_WINDOW_S


class Clock:
    """Stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_so_many_in_a_period() -> None:
    """Each engine counts once, however many requests tell of its end; the first is forgotten first."""
    clock = Clock()
    ends = EngineEnds(2, clock)
    for engine in (1, 1, 1):
        ends.add(engine)
    assert not ends.must_wait
    clock.now = 100
    ends.add(2)
    assert ends.must_wait
    clock.now = PERIOD_S
    assert not ends.must_wait
    ends.add(3)
    assert ends.must_wait


@pytest.mark.parametrize("most", [-2, 0, 1])
def test_at_least_one(most: int) -> None:
    """Where no engine may be started again at all, one end is what there is anyhow."""
    ends = EngineEnds(most)
    assert not ends.must_wait
    ends.add(1)
    assert ends.must_wait


def test_the_supervisor_has_forgotten_first() -> None:
    """What begins anew is counted by itself there."""
    assert PERIOD_S > RESTART_WINDOW_S
