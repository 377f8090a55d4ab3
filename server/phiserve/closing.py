"""The end of a server's parts: everything is closed, whatever hangs or fails before it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from phiserve.media.connector import MediaConnector

_LOG = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
"""How long the end of the process waits for downloads to end."""


class Closable(Protocol):
    """What holds connections or threads until its end."""

    async def close(self) -> None:
        """Let go of them."""


async def close_all(
    connector: MediaConnector,
    images: Callable[[], None],
    engine: Callable[[], Awaitable[None]],
    others: Sequence[Closable | None],
) -> None:
    """End all connections, threads and processes; the `others` last, in their order."""
    async with AsyncExitStack() as parts:
        for other in reversed(others):
            if other is not None:
                parts.push_async_callback(other.close)
        await close_work(connector, images, engine)


async def close_work(
    connector: MediaConnector, images: Callable[[], None], engine: Callable[[], Awaitable[None]]
) -> None:
    """Close the connector, then images and engine in this order, whatever hangs or raises before it."""
    async with AsyncExitStack() as parts:
        parts.push_async_callback(engine)
        parts.callback(images)
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await connector.close()
        except TimeoutError:
            _LOG.warning("Downloads did not end within %g s; they are left to themselves", CLOSE_TIMEOUT_S)
