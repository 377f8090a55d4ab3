"""The store that the settings ask for."""

from pathlib import Path

import pytest
import uvloop

from phiserve.store.interface import Store
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store
from stored import items, on_store, opened, response


def test_off() -> None:
    """No store."""
    assert open_store("off", StoreLimits()) is None


def test_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is made where there is none yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert open_store(None, StoreLimits()) is not None
    assert (tmp_path / "phiserve" / "state.db").exists()


def test_on_the_servers_own_loop(state_url: str) -> None:
    """uvloop, by which servers run."""

    async def run() -> None:
        store = opened(state_url)
        assert await store.save_response(response(context=["a"], owner="ü"), items("a"))
        assert await store.response("ü", "resp_1") == response(context=["a"], owner="ü")
        await store.close()

    uvloop.run(run())


def test_opened_twice(state_url: str) -> None:
    """What is there already stays."""

    async def save(store: Store) -> None:
        assert await store.save_response(response(), [])

    async def read(store: Store) -> None:
        assert await store.response("", "resp_1") == response()

    on_store(state_url, save)
    on_store(state_url, read)
