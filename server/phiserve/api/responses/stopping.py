"""The end of an answer whose response was deleted, while somebody is told of it."""

import asyncio
from contextlib import aclosing

from phiserve.api.answering import Deltas


class Stop:
    """Ends deltas from outside. `is_set`: whether it does."""

    def __init__(self) -> None:
        self.is_set = False
        self._waiting: asyncio.Timeout | None = None

    def set(self) -> None:
        """Nobody wants more of them: whoever waits for the next one waits no longer."""
        self.is_set = True
        if self._waiting is not None:
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def each_until(self, deltas: Deltas) -> Deltas:
        """The same deltas until it is set, closed then."""
        async with aclosing(deltas):
            while not self.is_set:
                try:
                    async with asyncio.timeout(None) as self._waiting:
                        delta = await anext(deltas, None)
                except TimeoutError:
                    if not self.is_set:  # it is one of the deltas' own
                        raise
                    return
                finally:
                    self._waiting = None
                if delta is None:
                    return
                yield delta
