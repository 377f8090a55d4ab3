"""Freeing an ended engine: a circle of megabytes, threads and descriptors that requests may still hold."""

import asyncio
import ctypes
import gc
from collections.abc import Callable

HELD_FOR_S = 10.0
"""Seconds between looks for an ended engine that a request holds; each stops the process for a moment."""


async def freed(ended: Callable[[], object]) -> bool:
    """Collect garbage, on a thread, and give its memory back to the system. Whether an ended engine is gone.

    glibc would keep the pages: some 40 MiB for each engine that ends under load.
    """
    await asyncio.to_thread(gc.collect)
    if _malloc_trim is not None:
        await asyncio.to_thread(_malloc_trim, 0)
    return ended() is None


async def until_freed(ended: Callable[[], object]) -> None:
    """Wait until an ended engine is gone: a slow reader holds the one that its request began with.

    `ended` is a weak reference to it.
    """
    while ended() is not None:
        await asyncio.sleep(HELD_FOR_S)
        await freed(ended)


def _trimming() -> Callable[[int], int] | None:
    """The C library's `malloc_trim`, where it has one."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


_malloc_trim = _trimming()
