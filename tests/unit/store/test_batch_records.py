"""Batches in a database, in SQLite and PostgreSQL: what a call does is done whole or not at all."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from phiserve.core import TokenCounts
from phiserve.errors import InvalidRequest
from phiserve.store.batch_lines import Duplicate, LineResult
from phiserve.store.batch_records import BatchRecords, NoRoomForLines
from phiserve.store.batches import Change, StoredBatch
from phiserve.store.file_records import WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.room import LEAST_BYTES
from phiserve.store.sql_store import SqlStore
from phiserve.store.tables import BATCH_SUSPECTS, BATCHES
from stored import NOW
from stored_batches import BATCH, LIMITS, MOST, batch, changed, claimed, line, on_store


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

    on_store(state_url, use)


def test_room_for_outputs(state_url: str) -> None:
    """No batch begins once its owner's files leave no room; another's does."""
    full = replace(LIMITS, max_file_bytes_per_owner=2 * LEAST_BYTES - 1)

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        await batch(store, "batch_2", "x")
        with pytest.raises(InvalidRequest, match=f"4096 of {2 * LEAST_BYTES - 1}.*per_owner") as caught:
            await records.create(replace(BATCH, id="b"), "file of batch_1", full)
        assert caught.value.code == "file_quota_exceeded"
        more = replace(full, max_file_bytes_per_owner=2 * LEAST_BYTES)
        assert await records.create(replace(BATCH, id="b"), "file of batch_1", more) is not None
        assert await records.create(replace(BATCH, id="c", owner="x"), "file of batch_2", more) is not None

    on_store(state_url, use)


def test_room_for_lines(state_url: str) -> None:
    """Of two batches that are validated at the same time, one takes the room and the other gets none."""

    def of(num_lines: int) -> Change:
        return lambda found: replace(found, status="in_progress", num_lines=num_lines)

    async def use(store: SqlStore, records: BatchRecords) -> None:
        owners = [str(number) for number in range(12)]
        for owner in owners:
            for name in "ab":
                await batch(store, owner + name, owner, num_bytes=1)
        all_of_them = [await claimed(store, f"r{number}") for number in range(2 * len(owners))]
        outcomes = await asyncio.gather(
            *(records.admit(it, of(3), f"r{number}", 5) for number, it in enumerate(all_of_them)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, NoRoomForLines) for outcome in outcomes) == len(owners)
        for owner in owners:
            stored = [await records.batch(owner, owner + name) for name in "ab"]
            assert sorted(one.num_lines for one in stored if one is not None) == [0, 3]
        await batch(store, "last", "0", num_bytes=1)
        last = await claimed(store, "r")
        assert await records.admit(last, of(2), "r", 5) == replace(last, status="in_progress", num_lines=2)

    on_store(state_url, use)


def test_lines(state_url: str) -> None:
    """In the order that they are answered in, from any place; their results once, counted with them."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store)
        lines = [line(1, "b"), line(2, "a"), line(3, "b"), line(5, "a")]
        for some in (lines[:2], lines[2:], []):
            assert await records.add_lines(it, "r", some)
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
        ended = await records.ended_lines(it, 1, 10, 100)
        assert [(one.number, one.custom_id, one.result, one.is_error) for one in ended] == [
            (2, "id 2", '{"x":1}', False),
            (3, "id 3", "{}", True),
            (5, "id 5", "{}", False),
        ]
        for max_bytes, numbers in ((0, [2]), (8, [2]), (9, [2, 3]), (11, [2, 3, 5])):
            few = await records.ended_lines(it, 1, 10, max_bytes)
            assert [one.number for one in few] == numbers
        assert await records.ended_lines(it, 5, 10, 100) == []
        (unanswered,) = await records.ended_lines(it, 0, 1, 100)
        assert (unanswered.number, unanswered.result, unanswered.is_error) == (1, None, None)

    on_store(state_url, use)


def test_suspects(state_url: str) -> None:
    """How often an engine ended over a line is counted by whoever works on it, and goes with the lines."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store)
        lines = [line(1, "b"), line(2, "a"), line(3, "b")]
        await records.add_lines(it, "r", lines)
        assert not await records.suspect(it, "other", 1, 1)
        for number, num_failures in ((3, 1), (3, 1), (1, 1), (3, 2)):
            assert await records.suspect(it, "r", number, num_failures)
        assert [*await records.unanswered(it, ("", 0), 10)] == [lines[1]]
        suspects = [replace(lines[0], num_failures=1), replace(lines[2], num_failures=2)]
        assert [*await records.suspects(it, ("", 0), 10)] == suspects
        assert [*await records.suspects(it, ("b", 1), 10)] == suspects[1:]
        assert await records.save_results(it, "r", [LineResult(1, "{}", is_error=False)])
        assert [*await records.suspects(it, ("", 0), 1)] == suspects[1:]
        assert await records.remove_lines(it.key, "r")
        left = select(BATCH_SUSPECTS)
        assert (await store._connections.read(lambda connection: connection.execute(left))).all() == []

    on_store(state_url, use)


def test_duplicates(state_url: str) -> None:
    """Each line with the id of an earlier one, and which that is."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store)
        await records.add_lines(it, "r", [line(n, custom_id=name) for n, name in enumerate("abcabxa", 1)])
        found = [Duplicate(4, "a", 1), Duplicate(5, "b", 2), Duplicate(7, "a", 1)]
        assert [*await records.duplicates(it, 10)] == found
        assert [*await records.duplicates(it, 1)] == found[:1]

    on_store(state_url, use)


def test_the_end(state_url: str) -> None:
    """Files and the batch's end come together; the input's content goes with it, lines soon after."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store)
        await records.add_lines(it, "r", [line(1)])
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
        assert await records.claim("s", "validating", ["m"], (), -1) is None
        assert await records.count_lines(it) == 1
        await store.clear_away()
        assert await records.count_lines(it) == 0

    on_store(state_url, use)


def test_old_batches_go(state_url: str) -> None:
    """So long after their end, however old they were by then."""
    long_ago = NOW - 31 * 86_400

    async def use(store: SqlStore, records: BatchRecords) -> None:
        for number in range(3):
            await batch(store, f"batch_{number}", num_bytes=1, created_at=long_ago)
        for runner in ("batch_0", "batch_1"):
            it = await claimed(store, runner)
            await changed(store, update(BATCHES).values(renewed_at=long_ago))
            assert await records.finish(it, lambda now: replace(now, status="failed"), (), runner) == []
        await changed(store, update(BATCHES).where(BATCHES.c.id == "batch_0").values(renewed_at=long_ago))
        assert await store.clear_away() == 1
        page = await records.page("", None, 10)
        assert page is not None
        assert [one.id for one in page.batches] == ["batch_2", "batch_1"]

    on_store(state_url, use)
