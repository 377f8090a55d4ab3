"""Whose turn it is: order by cost between owners, and threads that are never lost."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from phiserve.turns import NOBODY, Line
from phiserve.vision.fair_pool import FairPool


@asynccontextmanager
async def busy_pool() -> AsyncIterator[tuple[FairPool, threading.Event]]:
    """A pool whose only thread is busy until the event is set."""
    pool, go_on = FairPool(1, "test"), threading.Event()
    busy = asyncio.create_task(pool.run(NOBODY, 1, go_on.wait))
    await asyncio.sleep(0)
    try:
        yield pool, go_on
    finally:
        go_on.set()
        await busy
        pool.close()


async def order_of(*asked: tuple[str, float]) -> list[str]:
    """Who was served, in order, of those who asked while the thread was busy."""
    served: list[str] = []
    async with busy_pool() as (pool, go_on):
        works = [
            asyncio.create_task(pool.run(Line(0, owner), cost, partial(served.append, owner)))
            for owner, cost in asked
        ]
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*works)
    return served


def test_owners_take_turns() -> None:
    """A flood of one leaves another's single work one turn to wait."""
    assert asyncio.run(order_of(*[("flood", 1)] * 4, ("other", 1))) == [
        "flood",
        "other",
        "flood",
        "flood",
        "flood",
    ]


def test_turns_are_counted_in_cost() -> None:
    """Three small ones for a large one."""
    asked = [("large", 3)] * 2 + [("small", 1)] * 4
    assert asyncio.run(order_of(*asked)) == ["large", "small", "small", "small", "large", "small"]


def test_cancelled_work_never_begins() -> None:
    """And its turn is not lost."""
    done: list[str] = []

    async def run() -> None:
        async with busy_pool() as (pool, go_on):
            dropped = asyncio.create_task(pool.run(Line(0, "a"), 1, lambda: done.append("dropped")))
            kept = asyncio.create_task(pool.run(Line(0, "a"), 1, lambda: done.append("kept")))
            await asyncio.sleep(0)
            dropped.cancel()
            go_on.set()
            await kept
            assert dropped.cancelled()
            assert await pool.run(Line(0, "b"), 1, lambda: 5) == 5

    asyncio.run(run())
    assert done == ["kept"]


def test_failures_give_the_thread_back() -> None:
    """The failure is its caller's."""

    def fail() -> None:
        raise ValueError("bad")

    async def run() -> None:
        pool = FairPool(1, "test")
        for _ in range(3):
            with pytest.raises(ValueError, match="bad"):
                await pool.run(Line(0, "a"), 1, fail)
        assert await pool.run(Line(0, "a"), 1, lambda: 1) == 1
        assert not pool._room._turns._lines
        pool.close()
        with pytest.raises(RuntimeError):
            await pool.run(Line(0, "a"), 1, fail)

    asyncio.run(run())


def test_all_threads_work_at_once() -> None:
    """As many works as there are threads begin without waiting for each other."""
    barrier = threading.Barrier(3, timeout=20)

    async def run() -> None:
        pool = FairPool(3, "test")
        await asyncio.gather(*(pool.run(Line(0, "a"), 1, barrier.wait) for _ in range(3)))
        pool.close()

    asyncio.run(run())
