"""How many bytes of files that requests name the process holds at once: short ones may name long files."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from phiserve.errors import Overloaded
from phiserve.turns import NOBODY, TIMES_WHAT_IS_FREE, Line, holder_of, may_hold

SHORT_BYTES = 256 * 2**10
"""Bytes that are copied on the event loop, before a thread would have woken up."""


class ContentBudget:
    """Bytes of all contents that were fetched for requests and are still held, bounded.

    One owner does not get all of them. A content of `largest_bytes` fits where nothing else is held.
    """

    def __init__(self, max_bytes: int, largest_bytes: int = 0) -> None:
        least = largest_bytes + -(-largest_bytes // TIMES_WHAT_IS_FREE)
        self._max_bytes = max(max_bytes, least)
        self._by_holder: Counter[Line] = Counter()
        self._gone: deque[tuple[Line, int]] = deque()
        self._lock = Lock()

    @property
    def held_bytes(self) -> int:
        """All bytes that are held."""
        with self._lock:
            self._settle()
            return self._by_holder.total()

    def hold(self, line: Line, num_bytes: int) -> None:
        """Count more bytes, from any thread. Raises Overloaded where an owner has no room for them now."""
        with self._lock:
            self._settle()
            if not may_hold(self._by_holder, line, num_bytes, self._max_bytes):
                raise Overloaded("The server holds too many files for requests at once")
            self._by_holder[holder_of(line)] += num_bytes

    def let_go(self, line: Line, num_bytes: int) -> None:
        """They are held no longer.

        Called wherever an object ends, and so perhaps by whoever has the lock: noted, and counted later.
        """
        self._gone.append((line, num_bytes))

    def _settle(self) -> None:
        """Count what is gone."""
        while self._gone:
            line, num_bytes = self._gone.popleft()
            holder = holder_of(line)
            self._by_holder[holder] -= num_bytes
            if not self._by_holder[holder]:
                del self._by_holder[holder]


class ContentShare:
    """What one content holds of the budget, until nobody holds this any more."""

    __slots__ = ("_budget", "_line", "_num_bytes")

    def __init__(self, budget: ContentBudget, line: Line = NOBODY) -> None:
        self._budget = budget
        self._line = line
        self._num_bytes = 0

    def add(self, num_bytes: int) -> None:
        """Count bytes that are coming, on one thread at a time. Raises Overloaded."""
        self._budget.hold(self._line, num_bytes)
        self._num_bytes += num_bytes

    async def held(self, content: bytes) -> bytes:
        """A content that keeps its share for as long as anybody holds it."""
        if len(content) <= SHORT_BYTES:
            return _HeldContent(content, self)
        return await asyncio.to_thread(_HeldContent, content, self)

    def let_go(self) -> None:
        """The content did not come, or nobody holds it any more."""
        num_bytes, self._num_bytes = self._num_bytes, 0
        self._budget.let_go(self._line, num_bytes)

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """What is counted within is let go of at once where that fails."""
        try:
            yield
        except BaseException:
            self.let_go()
            raise

    def __del__(self) -> None:
        """Nobody holds it any more."""
        self.let_go()


class _HeldContent(bytes):
    """A content, equal to other bytes, with its share."""

    share: ContentShare

    def __new__(cls, content: bytes, share: ContentShare) -> "_HeldContent":
        """A copy of some bytes."""
        made = super().__new__(cls, content)
        made.share = share
        return made
