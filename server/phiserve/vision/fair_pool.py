"""A thread pool whose threads take turns between owners, whatever each of them sends."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from phiserve.turns import Line, Room

_Result = TypeVar("_Result")


class FairPool:
    """`workers` threads, for one event loop."""

    def __init__(self, workers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
        self._room = Room(workers)

    async def run(self, line: Line, cost: float, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, done on a thread when it is the line's turn.

        Cancelled before its turn, it never begins. `cost` is in any unit, the same for all.
        """
        loop = asyncio.get_running_loop()

        def release(done: Future[_Result]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(self._room.leave, 1)

        await self._room.enter(line, cost, 1)
        try:
            doing = self._pool.submit(work)
        except RuntimeError:  # closed
            self._room.leave(1)
            raise
        doing.add_done_callback(release)
        return await asyncio.wrap_future(doing)

    def close(self) -> None:
        """Stop the threads; work not yet begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
