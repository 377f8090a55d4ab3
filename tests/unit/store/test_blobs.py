"""What of contents is there: written, kept once, dead; in SQLite and PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store import blobs
from phiserve.store.connections import Connections
from phiserve.store.location import locate
from phiserve.store.schema import prepare
from phiserve.store.tables import FILES

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def on(
    function: Callable[Concatenate[AsyncConnection, _Arguments], Awaitable[_Result]],
    *arguments: _Arguments.args,
    **options: _Arguments.kwargs,
) -> Callable[[AsyncConnection], Awaitable[_Result]]:
    """The work of a transaction: a function of ours with these arguments."""
    return lambda connection: function(connection, *arguments, **options)


def on_connections(url: str, use: Callable[[Connections], Awaitable[None]]) -> None:
    """Use connections to a new database."""
    location = locate(url)
    assert location is not None
    prepare(location)

    async def run() -> None:
        connections = Connections(location)
        try:
            await use(connections)
        finally:
            await connections.close()

    asyncio.run(run())


async def refer(connection: AsyncConnection, blob: int, file_id: str) -> None:
    """A file that has a content."""
    texts = {"owner": "", "purpose": "", "filename": "", "content_type": ""}
    values = {"id": file_id, "created_at": 0, "bytes": 1, "blob": blob}
    await connection.execute(insert(FILES).values(texts | values))


async def keep(connections: Connections, name: str, digest: str, file_id: str) -> int | None:
    """Write a content and have a file refer to it; the content's key."""
    await connections.write(on(blobs.begin, name))

    async def work(connection: AsyncConnection) -> int | None:
        key = await blobs.keep(connection, name, digest, 1)
        if key is not None:
            await refer(connection, key, file_id)
        return key

    return await connections.write(work)


def test_kept_once(state_url: str) -> None:
    """An equal one is the one that is there, and the newer bytes are to be removed; also at once."""

    async def use(connections: Connections) -> None:
        first = await keep(connections, "a", "digest", "f1")
        assert await keep(connections, "b", "digest", "f2") == first
        assert await keep(connections, "c", "other", "f3") != first
        dead = await connections.read(on(blobs.dead, "", 10))
        assert dead == ["b"]
        keys = await asyncio.gather(*(keep(connections, f"n{n}", "new", f"g{n}") for n in range(8)))
        assert len({*keys}) == 1
        assert len(await connections.read(on(blobs.dead, "", 10))) == 8

    on_connections(state_url, use)


def test_not_wanted(state_url: str) -> None:
    """What is given up is dead, and can't be kept; what is kept is not given up, nor forgotten."""

    async def use(connections: Connections) -> None:
        await keep(connections, "kept", "digest", "f1")
        await connections.write(on(blobs.begin, "left"))
        for name, is_dead in (("left", True), ("kept", False), ("never", True)):
            found = await connections.write(on(blobs.give_up, name))
            assert found == is_dead, name
        assert await connections.write(on(blobs.keep, "left", "d", 1)) is None
        for name in ("left", "kept"):
            await connections.write(on(blobs.forget, name))
        assert await keep(connections, "again", "digest", "f2") == 1
        assert await connections.read(on(blobs.dead, "", 10)) == ["again"]

    on_connections(state_url, use)


def test_stale(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody has renewed for so long is given up, and nothing else."""
    now = 1000
    monkeypatch.setattr("time.time", lambda: now)

    async def use(connections: Connections) -> None:
        nonlocal now
        for name in ("left", "renewed"):
            await connections.write(on(blobs.begin, name))
        await keep(connections, "kept", "digest", "f1")
        now += 60
        await connections.write(on(blobs.renew, ["renewed", "kept"]))
        await connections.write(on(blobs.give_up_stale, 61))
        assert await connections.read(on(blobs.dead, "", 10)) == []
        await connections.write(on(blobs.give_up_stale, 60))
        assert await connections.read(on(blobs.dead, "", 10)) == ["left"]

    on_connections(state_url, use)


def test_released(state_url: str) -> None:
    """It is dead when the last file that has it is gone."""

    async def use(connections: Connections) -> None:
        key = await keep(connections, "a", "digest", "f1")
        assert key is not None
        released = await connections.write(on(blobs.release, [key, key]))
        assert released == []
        await connections.write(lambda connection: connection.execute(FILES.delete()))
        released = await connections.write(on(blobs.release, [key, 77]))
        assert released == ["a"]
        assert await keep(connections, "b", "digest", "f2") != key

    on_connections(state_url, use)


def test_dead_ones_in_pages(state_url: str) -> None:
    """By their names, behind one."""

    async def use(connections: Connections) -> None:
        for name in "dbca":
            await connections.write(on(blobs.begin, name))
            await connections.write(on(blobs.give_up, name))
        for after, limit, expected in (("", 2, ["a", "b"]), ("b", 9, ["c", "d"]), ("d", 9, [])):
            found = await connections.read(on(blobs.dead, after, limit))
            assert found == expected

    on_connections(state_url, use)
