"""Blocking calls on threads that nobody has to wait for."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TypeVar

_Result = TypeVar("_Result")


class DetachedThreads:
    """Runs blocking calls, `most` at a time, each on a daemon thread.

    A call that hangs can't be interrupted: it keeps its place until it ends, and holds up neither the loop's
    default pool nor the end of the process, which waits for every pool.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._places = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, or what it raises, after a wait for a place. Raises OSError if there is no
        thread to be had.
        """
        await self._places.acquire()
        result: Future[_Result] = Future()
        result.set_running_or_notify_cancel()  # from here on it can't be cancelled: its place is taken until it ends
        arguments = (asyncio.get_running_loop(), work, result)
        try:
            Thread(target=self._work, args=arguments, name=self._name, daemon=True).start()
        except RuntimeError as error:
            self._places.release()
            raise OSError("no thread is to be had") from error
        return await asyncio.wrap_future(result)

    def _work(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[], _Result], result: Future[_Result]
    ) -> None:
        try:
            result.set_result(work())
        except Exception as error:
            result.set_exception(error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._places.release)
