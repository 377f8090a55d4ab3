"""Freeing an ended engine: a circle of megabytes, threads and descriptors that requests may still hold."""

import asyncio
import gc
from collections.abc import Callable

HELD_FOR_S = 10.0
"""Seconds between looks for an ended engine that a request holds; each stops the process for a moment."""


async def freed(ended: Callable[[], object]) -> bool:
    """Collect garbage, on a thread. Whether an ended engine is gone."""
    await asyncio.to_thread(gc.collect)
    return ended() is None


async def until_freed(ended: Callable[[], object]) -> None:
    """Wait until an ended engine is gone: a slow reader holds the one that its request began with.

    `ended` is a weak reference to it.
    """
    while ended() is not None:
        await asyncio.sleep(HELD_FOR_S)
        await freed(ended)
