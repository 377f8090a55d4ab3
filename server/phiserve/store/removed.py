"""Where files and items stood that are gone, for clients that remove what they list page by page.

Such a client asks for what comes after an id that it has just removed.
"""

import time
from collections.abc import Mapping

from sqlalchemy import Column, ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store.interface import Order
from phiserve.store.limits import DAY_S
from phiserve.store.tables import REMOVED


def files_of(owner: str) -> str:
    """Within what an owner's files stand."""
    return f"files of {owner}"


def items_of(conversation: int) -> str:
    """Within what the items of the conversation with this key stand."""
    return f"items of {conversation}"


async def remember(connection: AsyncConnection, within: str, places: Mapping[str, int]) -> None:
    """Things of these ids, which stood at these places, are being removed."""
    is_them = (REMOVED.c.within == within) & REMOVED.c.id.in_([*places])
    await connection.execute(delete(REMOVED).where(is_them))  # an item may be added and removed again
    now = int(time.time())
    rows = [{"within": within, "id": one, "place": at, "removed_at": now} for one, at in places.items()]
    await connection.execute(insert(REMOVED), rows)


async def after(
    connection: AsyncConnection, within: str, one_id: str, place: Column[int], order: Order
) -> ColumnElement[bool] | None:
    """What comes after a thing that was removed within a day; None where it was not.

    Something newer may have its place.
    """
    is_it = (REMOVED.c.within == within) & (REMOVED.c.id == one_id)
    at = await connection.scalar(select(REMOVED.c.place).where(is_it))
    if at is None:
        return None
    behind: ColumnElement[bool] = place >= at if order == "asc" else place < at
    return behind


async def forget_old(connection: AsyncConnection) -> None:
    """Forget what was removed more than a day ago."""
    await connection.execute(delete(REMOVED).where(REMOVED.c.removed_at < int(time.time()) - DAY_S))
