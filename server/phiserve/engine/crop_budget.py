"""How many bytes of crops wait for the engine at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from phiserve.errors import Overloaded
from phiserve.turns import Line, Room


class CropBudget:
    """Room for `max_bytes` of crops, from before they are decoded until the engine has seen them."""

    def __init__(self, max_bytes: int, max_wait_s: float) -> None:
        self._room = Room(max_bytes)
        self._max_wait_s = max_wait_s

    @asynccontextmanager
    async def hold(self, line: Line, num_bytes: int) -> AsyncIterator[None]:
        """Hold room, which owners take in turn. Raises Overloaded where none comes in time."""
        if not num_bytes:
            yield
            return
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._room.enter(line, num_bytes, num_bytes)
        except TimeoutError:
            raise Overloaded("Too many images wait for the engine") from None
        try:
            yield
        finally:
            self._room.leave(num_bytes)
