"""Which place has the contents of files, in transactions that others begin: the state knows its marker.

Without one, a disk that is not mounted, or a folder that each server has for itself, would look like a place
whose contents are gone.
"""

import logging
from collections.abc import Callable

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import StoreFailure
from phiserve.store.tables import BLOBS, PLACE, SCHEMA

_LOG = logging.getLogger(__name__)


def settle(connection: Connection, find: Callable[[str | None], str]) -> str:
    """The marker of a server's place, which the state knows from now on.

    `find` is told the marker that is `expected`, and returns the one that the place has. One server at a time
    does so, and none begins a content meanwhile.
    """
    connection.execute(select(SCHEMA.c.version).with_for_update())
    known = connection.scalar(select(PLACE.c.marker).with_for_update())
    found = find(expected(connection))
    if known is None:
        connection.execute(insert(PLACE).values(marker=found))
    elif known != found:  # in place: whoever checks it meanwhile would find no row in PostgreSQL
        connection.execute(update(PLACE).values(marker=found))
    return found


def expected(connection: Connection) -> str | None:
    """The marker that a place must have; None where any will do, since the state has no contents."""
    if connection.scalar(select(BLOBS.c.key).limit(1)) is None:
        return None
    return connection.scalar(select(PLACE.c.marker))


async def marker(connection: AsyncConnection) -> str | None:
    """The marker of the place; None where none was settled."""
    return await connection.scalar(select(PLACE.c.marker))


async def check(connection: AsyncConnection, own: str | None) -> None:
    """Check that contents go to the place that the state knows, which stays so until the transaction ends.

    `own`: the marker of the server's; None where it was not settled. Raises StoreFailure.
    """
    if own is None or own == await connection.scalar(select(PLACE.c.marker).with_for_update(read=True)):
        return
    reason = "Servers that share a database keep files in different places (files_url)"
    _LOG.error("%s: another has settled on its own", reason)
    raise StoreFailure(reason)
