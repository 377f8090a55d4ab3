"""How much of files an owner has, and has room for, in transactions of others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from phiserve.errors import InvalidRequest
from phiserve.store import room
from phiserve.store.connections import Connections
from phiserve.store.file_records import FileRecords, WholeBlob
from phiserve.store.location import locate
from phiserve.store.room import LEAST_BYTES
from phiserve.store.schema import prepare
from unit.store.test_file_records import MOST, UPLOAD, file_named, written

Used = Callable[..., Awaitable[int]]


def on_room(url: str, use: Callable[[FileRecords, Used], Awaitable[None]]) -> None:
    """Use a new database, and what tells how much of it an owner uses."""
    location = locate(url)
    assert location is not None
    prepare(location)

    async def run() -> None:
        connections = Connections(location)

        async def used(owner: str, besides: str = "") -> int:
            return await connections.read(lambda connection: room.used_bytes(connection, owner, besides))

        try:
            await use(FileRecords(connections), used)
        finally:
            await connections.close()

    asyncio.run(run())


def test_used_bytes(state_url: str) -> None:
    """Files, uploads and parts of these, small ones as what they take, those of others not at all."""

    async def use(records: FileRecords, used: Used) -> None:
        assert await used("") == 0
        await records.add_file(file_named("f1", num_bytes=10_000), await written(records, "a"), MOST)
        await records.add_file(file_named("f2", num_bytes=1), await written(records, "b"), MOST)
        await records.add_file(file_named("f3", "x"), await written(records, "c"), MOST)
        assert await used("") == 10_000 + LEAST_BYTES
        await records.create_upload(UPLOAD, MOST)
        assert await used("") == 10_000 + 2 * LEAST_BYTES
        assert await records.add_part("", "upload_1", "p1", await written(records, "d"), MOST)
        assert await used("") == 10_000 + 3 * LEAST_BYTES
        assert await used("x") == LEAST_BYTES

    on_room(state_url, use)


def test_what_is_being_received(state_url: str) -> None:
    """Takes room from its beginning, as much as is free and wanted, until it is kept or given up."""

    async def use(records: FileRecords, used: Used) -> None:
        most = 50_000
        assert await records.begin_received("a", "", 0, 20_000, most) == 20_000
        assert await records.begin_received("b", "", 10_000, 40_000, most) == 30_000
        assert [await used(""), await used("", "a"), await used("x")] == [50_000, 30_000, 0]
        for refused in (
            records.begin_received("c", "", 0, 0, most),
            records.hold_room("a", "", 20_001, 30_000, most),
            records.create_upload(UPLOAD, most),
        ):
            with pytest.raises(InvalidRequest, match=r"0000 of 50000 .* are used, or being received"):
                await refused
        assert await records.give_up_blob("c")  # nothing of it is on record
        assert await records.hold_room("b", "", 10_000, 10_000, most) == 10_000
        assert await records.hold_room("a", "", 25_000, 90_000, most) == 40_000
        await records.add_file(file_named("f1", num_bytes=30_000), WholeBlob("a", "digest", 30_000), most)
        assert await used("") == 40_000
        assert await records.give_up_blob("b")
        assert await used("") == 30_000
        await records.forget_blob("b")
        assert await records.hold_room("b", "", 1, 1, most) == 1  # it is too late, which is told at its end
        assert await used("") == 30_000

    on_room(state_url, use)


def test_stale(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server that is gone was receiving takes no room any more."""
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)

    async def use(records: FileRecords, used: Used) -> None:
        nonlocal now
        await records.begin_received("a", "", 0, 20_000, MOST)
        now += 60
        await records.give_up_stale_blobs(61)
        assert await used("") == 20_000
        await records.give_up_stale_blobs(60)
        assert await used("") == 0

    on_room(state_url, use)
