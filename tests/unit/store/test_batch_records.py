"""Batches in a database, in SQLite and PostgreSQL: what a call does is done whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from phiserve.core import TokenCounts
from phiserve.errors import InvalidRequest
from phiserve.store.batch_lines import Duplicate, LineResult, StoredLine
from phiserve.store.batch_records import BatchRecords
from phiserve.store.batches import StoredBatch
from phiserve.store.file_records import WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.limits import BatchLimits, StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.sql_store import SqlStore
from phiserve.store.tables import BATCH_SUSPECTS, BATCHES
from stored import NOW

MOST = 10**9
LIMITS = BatchLimits(max_bytes=100, max_bytes_per_owner=150)
BATCH = StoredBatch("batch_1", "", NOW, NOW + 60, "validating", "{}", '{"a":1}', model="m")


def on_store(url: str, use: Callable[[SqlStore, BatchRecords], Awaitable[None]]) -> None:
    """Use a new database."""

    async def run() -> None:
        store = open_store(url, StoreLimits())
        assert store is not None
        try:
            await use(store, store.batches)
        finally:
            await store.close()

    asyncio.run(run())


async def batch(
    store: SqlStore, batch_id: str = "batch_1", owner: str = "", num_bytes: int = 60, **changes: str
) -> StoredBatch:
    """A new batch of a new file of an owner."""
    file_id = f"file of {batch_id}"
    file = StoredFile(file_id, owner, NOW, None, "batch", "a", "", num_bytes)
    await store.files.begin_blob(file_id)
    await store.files.add_file(file, WholeBlob(file_id, f"digest of {file_id}", num_bytes), MOST)
    new = replace(BATCH, id=batch_id, owner=owner, **changes)  # type: ignore[arg-type]
    stored = await store.batches.create(new, file_id, LIMITS)
    assert stored is not None
    return stored


async def claimed(store: SqlStore, runner: str = "r", older_than_s: int = 60) -> StoredBatch:
    """The batch that a server takes."""
    found = await store.batches.claim(runner, ["m"], (), older_than_s)
    assert found is not None
    return found


def line(number: int, together: str = "", custom_id: str = "") -> StoredLine:
    """A line of a batch."""
    return StoredLine(number, custom_id or f"id {number}", number * 10, 9, together)


def test_batches(state_url: str) -> None:
    """Made of files, found by their owners, listed."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        first = await batch(store)
        assert first == replace(BATCH, num_bytes=60, blob="file of batch_1", key=first.key)
        assert await records.batch("", "batch_1") == first
        for owner, batch_id in (("x", "batch_1"), ("", "batch_2"), ("", "\0"), ("", "ü")):
            assert await records.batch(owner, batch_id) is None
            assert await records.change(owner, batch_id, lambda found: found) is None
        second = await batch(store, "batch_2", num_bytes=1)
        await batch(store, "batch_3", "x")
        for after, limit, expected, has_more in (
            (None, 2, [second, first], False),
            (None, 1, [second], True),
            ("batch_2", 1, [first], False),
        ):
            page = await records.page("", after, limit)
            assert page is not None
            assert ([*page.batches], page.has_more) == (expected, has_more)
        for after in ("batch_3", "\0"):
            assert await records.page("", after, 1) is None

    on_store(state_url, use)


def test_room(state_url: str) -> None:
    """Of an owner's batches that have not ended; files for something else, or of others, are not there."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        for other in (replace(BATCH, id="b", owner="x"), replace(BATCH, id="b")):
            file_id = "file of batch_1" if other.owner else "none"
            assert await records.create(other, file_id, LIMITS) is None
        image = StoredFile("image", "", NOW, None, "vision", "a", "", 1)
        await store.files.begin_blob("i")
        await store.files.add_file(image, WholeBlob("i", "d", 1), MOST)
        assert await records.create(replace(BATCH, id="b"), "image", LIMITS) is None
        with pytest.raises(InvalidRequest, match="101 bytes; a batch's has 100 at most"):
            await batch(store, "batch_2", num_bytes=101)
        with pytest.raises(InvalidRequest, match="hold 60 bytes, and the file has 91"):
            await batch(store, "batch_3", num_bytes=91)
        await batch(store, "batch_4", num_bytes=90)
        assert await records.check_lines(BATCH, 5, 5)
        assert not await records.check_lines(BATCH, 6, 5)

    on_store(state_url, use)


def test_one_server_at_a_time(state_url: str) -> None:
    """A batch is another's once it has not been renewed; until then nobody else has a say."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        await batch(store, "batch_2", "x", model="n")
        first = await claimed(store)
        assert first.id == "batch_1"
        assert await records.claim("s", ["m"], (), 60) is None
        assert await records.claim("s", ["n"], ("x",), 60) is None
        assert (await records.claim("s", ["m", "n"], (), 60)).id == "batch_2"  # type: ignore[union-attr]
        assert await records.renew("r", ["batch_1", "batch_2", "?"]) == {"batch_1": "validating"}
        assert await records.change("", "batch_1", lambda found: found, "s") is None
        assert await claimed(store, "s", -1) == first
        assert await records.renew("r", ["batch_1"]) == {}
        assert not await records.save_results(first, "r", [LineResult(1, "{}", is_error=False)])
        assert await records.finish(first, lambda found: replace(found, status="completed"), (), "r") is None
        await records.release("r", "batch_1")
        assert await records.claim("t", ["m"], (), 60) is None
        await records.release("s", "batch_1")
        assert await claimed(store, "t") == first

    on_store(state_url, use)


def test_lines(state_url: str) -> None:
    """In the order that they are answered in, from any place; their results once, counted with them."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store)
        lines = [line(1, "b"), line(2, "a"), line(3, "b"), line(5, "a")]
        await records.add_lines(it, lines[:2])
        await records.add_lines(it, lines[2:])
        await records.add_lines(it, [])
        assert await records.count_lines(it) == 4
        in_order = [lines[1], lines[3], lines[0], lines[2]]
        assert [*await records.unanswered(it, ("", 0), 10)] == in_order
        assert [*await records.unanswered(it, ("a", 2), 2)] == in_order[1:3]
        counts = TokenCounts(5, 3, 2, 4)
        results = [
            LineResult(2, '{"x":1}', is_error=False, counts=counts),
            LineResult(3, "{}", is_error=True),
        ]
        assert await records.save_results(it, "r", results)
        again = [LineResult(2, "other", is_error=True), LineResult(5, "{}", is_error=False, counts=counts)]
        assert await records.save_results(it, "r", again)
        stored = await records.batch("", "batch_1")
        assert stored is not None
        assert (stored.num_completed, stored.num_failed) == (2, 1)
        assert stored.counts == TokenCounts(10, 6, 4, 0)
        assert [*await records.unanswered(it, ("", 0), 10)] == [lines[0]]
        ended = await records.ended_lines(it, 1, 10)
        assert [(one.number, one.custom_id, one.result, one.is_error) for one in ended] == [
            (2, "id 2", '{"x":1}', False),
            (3, "id 3", "{}", True),
            (5, "id 5", "{}", False),
        ]
        (unanswered,) = await records.ended_lines(it, 0, 1)
        assert (unanswered.number, unanswered.result, unanswered.is_error) == (1, None, None)

    on_store(state_url, use)


def test_suspects(state_url: str) -> None:
    """How often an engine ended over a line is counted by whoever works on it, and goes with the lines."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store)
        lines = [line(1, "b"), line(2, "a"), line(3, "b")]
        await records.add_lines(it, lines)
        assert await records.suspect(it, "other", 1) is None
        assert [await records.suspect(it, "r", number) for number in (3, 1, 3)] == [1, 1, 2]
        assert [*await records.unanswered(it, ("", 0), 10)] == [lines[1]]
        suspects = [replace(lines[0], num_failures=1), replace(lines[2], num_failures=2)]
        assert [*await records.suspects(it, ("", 0), 10)] == suspects
        assert [*await records.suspects(it, ("b", 1), 10)] == suspects[1:]
        assert await records.save_results(it, "r", [LineResult(1, "{}", is_error=False)])
        assert [*await records.suspects(it, ("", 0), 1)] == suspects[1:]
        await records.remove_lines(it.key)
        left = select(BATCH_SUSPECTS)
        assert (await store._connections.read(lambda connection: connection.execute(left))).all() == []

    on_store(state_url, use)


def test_duplicates(state_url: str) -> None:
    """Each line with the id of an earlier one, and which that is."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        it = await batch(store)
        await records.add_lines(it, [line(n, custom_id=name) for n, name in enumerate("abcabxa", 1)])
        found = [Duplicate(4, "a", 1), Duplicate(5, "b", 2), Duplicate(7, "a", 1)]
        assert [*await records.duplicates(it, 10)] == found
        assert [*await records.duplicates(it, 1)] == found[:1]

    on_store(state_url, use)


def test_the_end(state_url: str) -> None:
    """Files and the batch's end come together; the input's content goes with it, lines soon after."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store)
        await records.add_lines(it, [line(1)])
        assert await store.files.remove_file("", "file of batch_1") == []
        output = StoredFile("out", "", NOW, None, "batch_output", "o", "", 200)
        whole = WholeBlob("o", "digest", 200)

        def ended(found: StoredBatch) -> StoredBatch:
            return replace(found, status="completed", payload='{"b":2}')

        assert await records.finish(it, ended, [(output, whole)], "r") is None
        assert (await records.batch("", "batch_1")) == it
        await store.files.begin_blob("o")
        assert await records.finish(it, ended, [(output, whole)], "r") == ["file of batch_1"]
        assert await store.files.file("", "out") == replace(output, blob="o")
        stored = await records.batch("", "batch_1")
        assert stored == replace(it, status="completed", payload='{"b":2}', blob="")
        assert await records.finish(it, ended, (), "r") is None
        assert await records.claim("s", ["m"], (), -1) is None
        assert await records.count_lines(it) == 1
        await store.clear_away()
        assert await records.count_lines(it) == 0

    on_store(state_url, use)


def test_old_batches_go(state_url: str) -> None:
    """With responses of the same age, unless they have not ended."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        for number in range(3):
            await batch(store, f"batch_{number}", num_bytes=1)
        for batch_id in ("batch_0", "batch_2"):
            await records.change("", batch_id, lambda found: replace(found, status="completed"))
        await _make_old(store, "batch_0", "batch_1")
        assert await store.clear_away() == 1
        page = await records.page("", None, 10)
        assert page is not None
        assert [one.id for one in page.batches] == ["batch_2", "batch_1"]

    on_store(state_url, use)


async def _make_old(store: SqlStore, *ids: str) -> None:
    change = update(BATCHES).where(BATCHES.c.id.in_(ids)).values(created_at=NOW - 31 * 86_400)
    await store._connections.write(lambda connection: connection.execute(change))
