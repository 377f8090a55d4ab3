"""A database that fails, in each way that it can: one failure for clients, the reason in the log."""

import asyncio
import logging
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import StoreFailure
from phiserve.store import connections as module
from phiserve.store.connections import Connections
from phiserve.store.interface import Store, StoredResponse
from phiserve.store.location import locate
from stored import item, items, on_store, opened, response

if TYPE_CHECKING:
    from unit.store.conftest import PostgresServer


ROOM_PAGES = 95
START_TIMEOUT_S = 60.0
"""Seconds within which a database must answer again."""


def file_in(folder: Path) -> str:
    """The URL of a new file."""
    return f"sqlite:///{folder / 'state.db'}"


async def fails(store: Store, logged: pytest.LogCaptureFixture) -> str:
    """Have reading and writing fail; what the log says of it. Clients read no library's words."""
    logged.clear()
    with logged.at_level(logging.WARNING):
        for call in (store.response("", "resp_1"), store.save_response(response("new"), items("a"))):
            with pytest.raises(StoreFailure) as caught:
                await call
            assert caught.value.status == 503
            assert "psycopg" not in str(caught.value)
            assert caught.value.__cause__ is None
    assert "sesame" not in logged.text
    return logged.text


async def comes_back(store: Store) -> StoredResponse | None:
    """The response, once the database answers again: it may have much to do first."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return await store.response("", "resp_1")
        except StoreFailure:
            assert time.monotonic() < deadline, "no answer"


def test_sqlite_is_durable(tmp_path: Path) -> None:
    """Every connection syncs before it acknowledges, and holds foreign keys."""
    opened(file_in(tmp_path))
    location = locate(file_in(tmp_path))
    assert location is not None

    async def pragmas(connection: AsyncConnection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "auto_vacuum")
        return [await connection.scalar(text(f"PRAGMA {name}")) for name in names]

    async def run() -> None:
        connections = Connections(location)
        expected = ["wal", 2, 1, 10_000, 2]
        assert await connections.read(pragmas) == expected
        assert await connections.write(pragmas) == expected
        await connections.close()

    asyncio.run(run())


def test_postgresql_that_ends_and_comes_back(
    own_postgresql: "PostgresServer", caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing that was stored is lost."""
    url = own_postgresql.new_place()

    async def use(store: Store) -> None:
        await store.save_response(response(), [])
        own_postgresql.stop()
        assert "State (state_url) failed" in await fails(store, caplog)
        own_postgresql.start()
        assert await comes_back(store) == response()
        assert await store.response("", "new") is None

    on_store(url, use)


def test_postgresql_that_stands_still(
    own_postgresql: "PostgresServer", caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for longer than TIMEOUT_S."""
    url = own_postgresql.new_place()

    async def use(store: Store) -> None:
        await store.save_response(response(), [])
        held = own_postgresql.hold()
        monkeypatch.setattr(module, "TIMEOUT_S", 0.3)
        try:
            assert "no answer within 0.3 s" in await fails(store, caplog)
        finally:
            own_postgresql.release(held)
        monkeypatch.undo()
        assert await comes_back(store) == response()

    on_store(url, use)


def test_a_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is not stored at all; what was stays, and when something is removed it goes on."""
    opened(file_in(tmp_path))
    with closing(sqlite3.connect(tmp_path / "state.db")) as empty:
        (taken,) = empty.execute("PRAGMA page_count").fetchone()
    pages = f"max_page_count = {taken + ROOM_PAGES}"
    monkeypatch.setattr(module, "_PRAGMAS", (*module._PRAGMAS, pages))

    async def use(store: Store) -> None:
        large = item("a", "x" * 150_000)
        await store.save_response(response("first", ["a"]), [large])
        too_large = item("b", "x" * 300_000)
        with caplog.at_level(logging.WARNING), pytest.raises(StoreFailure):
            await store.save_response(response("second", ["b", "c"]), [item("c"), too_large])
        assert "full" in caplog.text
        assert await store.response("", "second") is None
        assert await store.items("", ["a", "b", "c"]) == (large,)
        assert await store.delete_response("", "first")
        assert await store.save_response(response("second", ["b", "c"]), [item("c"), too_large])
        assert await store.items("", ["b"]) == (too_large,)

    on_store(file_in(tmp_path), use)


def test_another_process_that_holds_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for; reading goes on meanwhile."""
    opened(file_in(tmp_path))
    holder = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    monkeypatch.setattr(module, "_PRAGMAS", (*module._PRAGMAS, "busy_timeout = 50"))

    async def use(store: Store) -> None:
        holder.execute("BEGIN IMMEDIATE")
        with caplog.at_level(logging.WARNING), pytest.raises(StoreFailure):
            await store.save_response(response(), [])
        assert "locked" in caplog.text
        assert await store.response("", "resp_1") is None
        holder.execute("ROLLBACK")
        assert await store.save_response(response(), [])

    on_store(file_in(tmp_path), use)
    holder.close()


def test_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers of a process wait for each other without SQLite's locks: none is ever told to come again."""
    opened(file_in(tmp_path))
    monkeypatch.setattr(module, "_PRAGMAS", (*module._PRAGMAS, "busy_timeout = 0"))

    async def use(store: Store) -> None:
        saves = [store.save_response(response(f"resp_{n}"), []) for n in range(50)]
        reads = [store.response("", f"resp_{n}") for n in range(50)]
        assert (await asyncio.gather(*saves, *reads))[:50] == [True] * 50

    on_store(file_in(tmp_path), use)


def test_a_file_that_is_damaged_while_it_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A failure as any other."""
    file = tmp_path / "state.db"

    async def save(store: Store) -> None:
        await store.save_response(response(context=["a"]), items("a"))

    async def read(store: Store) -> None:
        assert "malformed" in await fails(store, caplog)

    on_store(file_in(tmp_path), save)
    content = bytearray(file.read_bytes())
    content[3 * 4096 :] = b"\xff" * (len(content) - 3 * 4096)
    opened_before = opened(file_in(tmp_path))
    file.write_bytes(content)

    async def run() -> None:
        await read(opened_before)
        await opened_before.close()

    asyncio.run(run())
