"""Runs blocking calls on threads that nobody has to wait for."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TypeVar

_Result = TypeVar("_Result")


class DaemonThreads:
    """Runs blocking calls, `limit` at a time, each on a daemon thread.

    A call that hangs can't be interrupted, and counts until it ends. It holds up neither the event loop's
    default pool, which others work on, nor the end of the process, which waits for the threads of every pool.
    """

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(limit)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, or what it raises, once a thread is free for it.

        Raises OSError if no thread can be started.
        """
        await self.reserve()
        return await self.start(work)

    async def reserve(self) -> None:
        """Wait until a thread is free; `start` or `release` must follow."""
        await self._free.acquire()

    def release(self) -> None:
        """Give back a reserved thread that has not been started."""
        self._free.release()

    def start(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """Start `work` on a reserved thread; the future holds its result.

        Raises OSError, and gives the reservation back, if the system has no thread left.
        """
        result: Future[_Result] = Future()
        result.set_running_or_notify_cancel()  # cannot be cancelled from here on: it counts until it ends
        arguments = (asyncio.get_running_loop(), work, result)
        try:
            Thread(target=self._work, args=arguments, name=self._name, daemon=True).start()
        except RuntimeError as error:
            self.release()
            raise OSError("no thread can be started") from error
        return asyncio.wrap_future(result)

    def _work(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[], _Result], result: Future[_Result]
    ) -> None:
        try:
            result.set_result(work())
        except Exception as error:
            result.set_exception(error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._free.release)
