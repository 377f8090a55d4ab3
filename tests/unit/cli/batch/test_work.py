"""So many requests are under way as there are to be, and not more."""

import asyncio

import pytest

from phiserve.cli.batch import work
from phiserve.cli.batch.work import Outcome, keep_under_way
from phiserve.errors import StartupError


class Watched:
    """Work that waits until `release` is set, and remembers what was begun."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.release = asyncio.Event()

    async def __call__(self, item: int) -> None:
        """Work on an item."""
        self.begun.append(item)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        self.ended.append(item)


async def settled() -> None:
    """Let everything go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_bounded_number() -> None:
    """Items are taken only when they are begun, in their order."""

    async def run() -> None:
        watched = Watched()
        items = iter(range(10))
        task = asyncio.create_task(keep_under_way(items, lambda item: 1, watched, 3))
        await settled()
        assert watched.begun == [0, 1, 2]
        assert next(items) == 3
        watched.release.set()
        await task
        assert sorted(watched.ended) == [0, 1, 2, 4, 5, 6, 7, 8, 9]

    asyncio.run(run())


def test_large_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together they stay within the limit, but for one that is larger by itself."""

    async def run() -> None:
        monkeypatch.setattr(work, "MAX_BYTES_UNDER_WAY", 10)
        watched = Watched()
        task = asyncio.create_task(keep_under_way(iter([4, 5, 20, 1]), lambda item: item, watched, 4))
        await settled()
        assert watched.begun == [4, 5]
        watched.release.set()
        await task
        assert watched.ended == [4, 5, 20, 1]

    asyncio.run(run())


def test_the_first_failure_ends_all() -> None:
    """It is raised, once all others have ended."""

    async def run() -> None:
        watched = Watched()

        async def fail_at_two(item: int) -> None:
            if item == 2:
                raise StartupError("no more")
            await watched(item)

        with pytest.raises(StartupError, match="no more"):
            await keep_under_way(iter(range(10)), lambda item: 1, fail_at_two, 3)
        assert (watched.begun, watched.cancelled, watched.ended) == ([0, 1], [0, 1], [])

    asyncio.run(run())


def test_what_has_failed() -> None:
    """Whatever is not 200."""
    assert [Outcome(status, "", b"{}").failed for status in (200, 400, 500)] == [False, True, True]
