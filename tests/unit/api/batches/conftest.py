"""How batches are worked on in tests of their runs."""

import pytest

from phiserve.api.batches import asking, parts


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for that takes seconds in a real server."""
    for name in ("RETRY_S", "LONGEST_RETRY_S", "PAUSE_S"):
        monkeypatch.setattr(asking, name, 0.001)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request of a batch at a time."""
    monkeypatch.setattr(parts, "window_of", lambda services: 1)
