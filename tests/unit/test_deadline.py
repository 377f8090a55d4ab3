"""What is cut off at a deadline, and what is told of it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from phiserve.deadline import Deadline
from phiserve.errors import DeadlineExceeded


def test_work_in_time_is_left_alone() -> None:
    """Its result, or its own failure, even where that is a TimeoutError."""

    async def fail() -> None:
        raise TimeoutError("its own")

    async def run() -> None:
        deadline = Deadline(60)
        assert await deadline.bound(asyncio.sleep(0, "result")) == "result"
        with pytest.raises(TimeoutError, match="its own"):
            await deadline.bound(fail())

    asyncio.run(run())


def test_work_that_takes_longer_is_cancelled() -> None:
    """And the request is told how long it had."""

    async def run() -> None:
        work = asyncio.ensure_future(asyncio.Event().wait())
        with pytest.raises(DeadlineExceeded, match=r"0\.02 s"):
            await Deadline(0.02).bound(work)
        assert work.cancelled()

    asyncio.run(run())


def test_items_end_at_the_deadline() -> None:
    """What came in time is kept, and the generator is closed."""
    closed: list[bool] = []

    async def items() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def run() -> None:
        seen: list[int] = []

        async def collect() -> None:
            async for item in Deadline(0.05).bound_each(items()):
                seen.append(item)

        with pytest.raises(DeadlineExceeded):
            await collect()
        assert (seen, closed) == ([1], [True])

    asyncio.run(run())


def test_items_that_end_before() -> None:
    """Come all."""

    async def items() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def run() -> list[int]:
        return [item async for item in Deadline(60).bound_each(items())]

    assert asyncio.run(run()) == [1, 2]
