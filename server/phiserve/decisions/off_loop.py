"""Work that goes through all options of a request: on a thread where they are many."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

MANY = 500
"""Options, or other small pieces, with which a request takes longer than a thread takes to wake up.

Fewer take about two milliseconds.
"""

_Result = TypeVar("_Result")


async def off_loop(num_pieces: int, work: Callable[[], _Result]) -> _Result:
    """What `work` returns or raises, which goes through so many pieces."""
    return work() if num_pieces < MANY else await asyncio.to_thread(work)
