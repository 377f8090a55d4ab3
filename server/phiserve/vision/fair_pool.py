"""A thread pool whose threads take turns between owners, whatever each of them sends.

Start-time fair queueing: an owner's turn comes by the cost of what was done for it, so that many or large
images of one leave another's small one only what is being done to wait for.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Owner:
    """Whose work waits. `start` is the virtual time at which the next of it may begin."""

    start: float
    waiting: deque[tuple[float, asyncio.Future[None]]] = field(default_factory=deque)


class FairPool:
    """`workers` threads, for one event loop."""

    def __init__(self, workers: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
        self._workers = self._free = workers
        self._owners: dict[str | None, _Owner] = {}
        self._now = 0.0  # the virtual start of what began last

    async def run(self, owner: str | None, cost: float, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, done on a thread when it is the owner's turn.

        Cancelled before its turn, it never begins. `cost` is in any unit, the same for all.
        """
        loop = asyncio.get_running_loop()

        def release(done: Future[_Result]) -> None:
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(self._release)

        await self._turn(owner, cost)
        try:
            doing = self._pool.submit(work)
        except RuntimeError:  # closed
            self._release()
            raise
        doing.add_done_callback(release)
        return await asyncio.wrap_future(doing)

    def close(self) -> None:
        """Stop the threads; work not yet begun is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _turn(self, owner: str | None, cost: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owners.setdefault(owner, _Owner(self._now)).waiting.append((cost, turn))
        self._dispatch()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # its turn came in the same moment
                self._release()
            raise

    def _release(self) -> None:
        self._free += 1
        self._dispatch()

    def _dispatch(self) -> None:
        """Give free threads to the owners whose turn it is."""
        while self._free and (waiting := [owner for owner in self._owners.values() if owner.waiting]):
            owner = min(waiting, key=lambda owner: owner.start)
            cost, turn = owner.waiting.popleft()
            if not turn.done():
                self._now = max(self._now, owner.start)
                owner.start = self._now + cost
                self._free -= 1
                turn.set_result(None)
        idle = self._free == self._workers
        for name, owner in list(self._owners.items()):
            if not owner.waiting and (idle or owner.start <= self._now):
                del self._owners[name]
