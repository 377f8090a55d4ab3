"""How many connections the descriptors of a process allow."""

import resource

import pytest

from phiserve.connections import limits
from phiserve.connections.limits import affordable_connections


@pytest.mark.parametrize(
    ("allowed", "affordable"),
    [(150, 62), (50, 8), (10**6, 10_000), (resource.RLIM_INFINITY, 10_000)],
)
def test_connections_by_descriptors(monkeypatch: pytest.MonkeyPatch, allowed: int, affordable: int) -> None:
    """What is left after those that are open and a reserve, within reason."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (allowed, allowed))
    monkeypatch.setattr(limits, "_open_descriptors", lambda: 40)
    assert affordable_connections() == affordable


def test_open_descriptors_are_counted() -> None:
    """Standard streams at least."""
    before = limits._open_descriptors()
    with open("/dev/null"):
        assert limits._open_descriptors() == before + 1
