"""An event loop on a thread of its own, for work that must not hold up the server's."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

_Result = TypeVar("_Result")


class LoopThread:
    """Runs coroutines on a thread of its own, which starts with the first of them.

    Its methods are called from one other thread only. The loop is asyncio's own, not uvloop: its transports
    read from Python's sockets (see `media.byte_limit`).
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._thread: Thread | None = None
        self._closed = False

    async def run(self, work: Coroutine[object, None, _Result]) -> _Result:
        """The result of `work`, run on the thread. If the caller is cancelled, so is the work.

        Raises RuntimeError once closed.
        """
        if self._closed:
            work.close()
            raise RuntimeError("this thread has ended")
        return await asyncio.wrap_future(self._submit(work))

    async def close(self, last: Callable[[], Coroutine[object, None, None]]) -> None:
        """Cancel what still runs, run `last`, and end the thread.

        Does nothing if no coroutine has ever been run, or the second time.
        """
        thread, self._thread, self._closed = self._thread, None, True
        if thread is None:
            return
        loop = self._runner.get_loop()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_end_others(last), loop))
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join)

    def _submit(self, work: Coroutine[object, None, _Result]) -> Future[_Result]:
        loop = self._runner.get_loop()
        if self._thread is None:
            self._thread = Thread(target=self._serve, args=(loop,), name=self._name, daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, loop)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._runner:
            loop.run_forever()


async def _end_others(last: Callable[[], Coroutine[object, None, None]]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await last()
