"""Coroutines run elsewhere, and end with whoever wants them."""

import asyncio
import threading

import pytest

from phiserve.media.loop_thread import LoopThread


async def _nothing() -> None:
    """For closing."""


async def _name() -> str:
    return threading.current_thread().name


async def _fail() -> None:
    raise KeyError("own")


def test_work_is_done_on_one_other_thread() -> None:
    """Its results and its exceptions come back."""

    async def run() -> None:
        loop_thread = LoopThread("elsewhere")
        names = await asyncio.gather(loop_thread.run(_name()), loop_thread.run(_name()))
        assert set(names) == {"elsewhere"}
        assert [thread.name for thread in threading.enumerate()].count("elsewhere") == 1
        with pytest.raises(KeyError, match="own"):
            await loop_thread.run(_fail())
        await loop_thread.close(_nothing)

    asyncio.run(run())


def test_a_caller_that_is_cancelled_cancels_the_work() -> None:
    """It does not run on for nobody."""
    began, cancelled = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def run() -> None:
        loop_thread = LoopThread("elsewhere")
        task = asyncio.create_task(loop_thread.run(work()))
        assert await asyncio.to_thread(began.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(cancelled.wait, 60)
        await loop_thread.close(_nothing)

    asyncio.run(run())


def test_the_end() -> None:
    """What runs is cancelled, then comes the last work, on the same thread; afterwards nothing runs any
    more.
    """
    order: list[str] = []
    began = threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cancelled")

    async def last() -> None:
        order.append(await _name())

    async def run() -> None:
        loop_thread = LoopThread("elsewhere")
        task = asyncio.create_task(loop_thread.run(work()))
        assert await asyncio.to_thread(began.wait, 60)
        await loop_thread.close(last)
        await loop_thread.close(last)
        assert order == ["cancelled", "elsewhere"]
        assert "elsewhere" not in [thread.name for thread in threading.enumerate()]
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(RuntimeError, match="ended"):
            await loop_thread.run(_name())

    asyncio.run(run())


def test_where_nothing_has_been_run_there_is_no_thread() -> None:
    """Neither while it lives nor when it ends."""

    async def run() -> None:
        loop_thread = LoopThread("elsewhere")
        assert "elsewhere" not in [thread.name for thread in threading.enumerate()]
        await loop_thread.close(_fail)

    asyncio.run(run())
