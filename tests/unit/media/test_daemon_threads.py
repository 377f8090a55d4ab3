"""Blocking calls hold up nobody but who waits for them."""

import asyncio
import subprocess
import sys
import threading
from functools import partial

import pytest

from phiserve.media.daemon_threads import DaemonThreads
from web import until


def test_results_and_exceptions_come_back() -> None:
    """And threads are free again: more calls than threads all have their turn."""

    def fail() -> int:
        raise ValueError("no")

    async def run() -> None:
        threads = DaemonThreads("t", 2)
        assert await asyncio.gather(*(threads.run(partial(int, number)) for number in range(20))) == [
            *range(20)
        ]
        for _ in range(5):
            with pytest.raises(ValueError, match="no"):
                await threads.run(fail)

    asyncio.run(run())


def test_a_call_that_nobody_waits_for_counts_until_it_ends() -> None:
    """Only then does the next begin."""
    ends = threading.Event()
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        assert ends.wait(60)

    async def run() -> None:
        threads = DaemonThreads("t", 1)
        first, second = (asyncio.create_task(threads.run(partial(work, number))) for number in (1, 2))
        await until(lambda: begun == [1])
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (begun, second.done()) == ([1], False)
        ends.set()
        await second
        assert begun == [1, 2]

    try:
        asyncio.run(run())
    finally:
        ends.set()


def test_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the system, and the next call may try again."""

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> None:
        threads = DaemonThreads("t", 1)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            with pytest.raises(OSError, match="no thread"):
                await threads.run(lambda: 1)
        assert await threads.run(lambda: 1) == 1

    asyncio.run(run())


def test_the_process_ends_all_the_same() -> None:
    """A call that hangs holds up neither the loop's end nor the process's."""
    script = """
import asyncio, threading
from phiserve.media.daemon_threads import DaemonThreads

async def run():
    try:
        await asyncio.wait_for(DaemonThreads("t", 1).run(threading.Event().wait), 0.1)
    except TimeoutError:
        print("left")

asyncio.run(run())
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own program
    assert (ended.stdout.strip(), ended.stderr) == ("left", "")
