"""Where contents are is settled by one server at a time, and stays so while there are any."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from phiserve.errors import StartupError, StoreFailure
from phiserve.store.file_records import FileRecords
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.sql_store import SqlStore


def opened(url: str) -> SqlStore:
    """A server's store."""
    store = open_store(url, StoreLimits())
    assert store is not None
    return store


def settle(records: FileRecords, found: str) -> str | None:
    """What a server, whose place has a marker, is told to expect."""
    told: list[str | None] = []

    def find(expected: str | None) -> str:
        told.append(expected)
        return found

    records.settle_place(find)
    (expected,) = told
    assert records.expected_place() == expected
    return expected


def test_it_stays_while_there_are_contents(state_url: str) -> None:
    """Until then any place will do, and the last one is known; another server's contents go nowhere else."""

    async def run() -> None:
        first, second = opened(state_url), opened(state_url)
        assert await first.files.known_place() is None
        assert [settle(one.files, found) for one, found in ((first, "a"), (second, "b"))] == [None, None]
        assert await first.files.known_place() == "b"
        for begun in (first.files.begin_blob("x"), first.files.begin_received("x", "", 0, 1, 10)):
            with pytest.raises(StoreFailure, match="in different places"):
                await begun
        await second.files.begin_blob("x")
        assert settle(second.files, "b") == "b"
        await second.files.give_up_blob("x")
        assert first.files.expected_place() == "b"
        await second.files.forget_blob("x")
        assert settle(first.files, "a") is None
        await first.files.begin_blob("y")
        for store in (first, second):
            await store.close()

    asyncio.run(run())


def test_a_start_that_fails_settles_nothing(state_url: str) -> None:
    """What `find` raises is raised, and the state knows what it knew."""
    store = opened(state_url)
    settle(store.files, "a")

    def find(expected: str | None) -> str:
        raise StartupError("no")

    with pytest.raises(StartupError, match=r"^no$"):
        store.files.settle_place(find)

    async def run() -> None:
        assert await store.files.known_place() == "a"
        await store.close()

    asyncio.run(run())


def test_a_start_beside_others_that_write(state_url: str) -> None:
    """It looks as long as it wants: a content that is begun meanwhile comes after it."""

    async def run() -> None:
        first, second = opened(state_url), opened(state_url)
        settle(first.files, "a")
        looks, may_go_on = threading.Event(), threading.Event()

        def find(expected: str | None) -> str:
            looks.set()
            may_go_on.wait()
            return "a"

        starting = asyncio.create_task(asyncio.to_thread(second.files.settle_place, find))
        await asyncio.to_thread(looks.wait)
        beginning = asyncio.create_task(first.files.begin_blob("x"))
        await asyncio.wait({beginning}, timeout=0.2)  # it waits, or would have failed by now
        may_go_on.set()
        await asyncio.gather(starting, beginning)
        assert settle(second.files, "a") == "a"
        for store in (first, second):
            await store.close()

    asyncio.run(run())


def test_one_at_a_time(state_url: str) -> None:
    """Of servers that start at once on a new place the first marks it, and the others find that."""
    stores, marks = [opened(state_url) for _ in range(8)], list[str]()

    def start(number: int) -> None:
        def find(expected: str | None) -> str:
            assert expected is None
            if not marks:
                marks.append(str(number))
            return marks[-1]

        stores[number].files.settle_place(find)

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(start, range(8))] == [None] * 8

    async def run() -> None:
        (mark,) = marks
        assert await stores[0].files.known_place() == mark
        for store in stores:
            await store.close()

    asyncio.run(run())
