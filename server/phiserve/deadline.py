"""The moment after which nobody waits for an answer any more."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from phiserve.errors import DeadlineExceeded

_Result = TypeVar("_Result")


class Deadline:
    """So many seconds from now on, by the event loop's clock, which no change of the time of day moves."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = asyncio.get_running_loop().time() + seconds

    async def bound(self, work: Awaitable[_Result]) -> _Result:
        """The result of `work`, which is cancelled at the deadline. Raises DeadlineExceeded then."""
        try:
            async with asyncio.timeout_at(self._at) as timeout:
                return await work
        except TimeoutError:
            if not timeout.expired():  # it is one of `work` itself
                raise
            raise DeadlineExceeded(f"The request took longer than {self._seconds:g} s") from None

    async def bound_each(self, items: AsyncGenerator[_Result, None]) -> AsyncGenerator[_Result, None]:
        """The same items, closed at the deadline. Raises DeadlineExceeded then."""
        async with aclosing(items):
            while True:
                try:
                    item = await self.bound(anext(items))
                except StopAsyncIteration:
                    return
                yield item
