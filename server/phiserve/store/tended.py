"""Work that is done again and again beside all else, whether the store answers or not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from phiserve.errors import StoreFailure

_LOG = logging.getLogger(__name__)


async def again_and_again(work: Callable[[], Awaitable[object]], pause_s: float, what: str) -> None:
    """Do some work until cancelled, with a pause of so many seconds, also after it failed.

    `what` the log says is not tended where it did.
    """
    while True:
        try:
            await work()
        except StoreFailure as failure:
            _LOG.warning("%s are not tended: %s", what, failure)
        except Exception:
            _LOG.exception("%s are not tended", what)
        await asyncio.sleep(pause_s)
