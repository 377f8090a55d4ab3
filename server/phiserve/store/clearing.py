"""Removing what is too old, and each owner's oldest where an owner has too much."""

import time
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Table,
    delete,
    func,
    literal,
    select,
    text,
    union,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store import batches, conversations, responses
from phiserve.store.connections import Connections
from phiserve.store.interface import UNENDED, UNFINISHED
from phiserve.store.limits import DAY_S, StoreLimits
from phiserve.store.removed import forget_old
from phiserve.store.tables import BATCHES, CONVERSATIONS, DELETED, ITEMS, RESPONSES

_BATCH = 50
"""Things removed in one transaction: others' writes go between two."""

_FREED_PAGES = 4096
"""Pages of SQLite's, of 4 KiB each, given back to the file system in one transaction."""

Removal = Callable[[AsyncConnection, int], Awaitable[int]]
"""Removes a row by its key; how many bytes that freed."""

_RESPONSE, _CONVERSATION = range(2)

_REMOVALS: tuple[Removal, Removal] = (responses.remove, conversations.remove)
"""By what is removed."""


async def clear_old(connections: Connections, limits: StoreLimits) -> int:
    """Remove responses, conversations and batches beyond the age limit. How many."""
    before = int(time.time()) - limits.max_age_days * DAY_S
    is_old_response = (RESPONSES.c.created_at < before) & (RESPONSES.c.status != DELETED)
    removed = await _clear_where(connections, RESPONSES, is_old_response, responses.remove)
    is_old = CONVERSATIONS.c.used_at < before
    removed += await _clear_where(connections, CONVERSATIONS, is_old, conversations.remove)
    is_old_batch = (BATCHES.c.renewed_at < before) & BATCHES.c.status.not_in(UNENDED)
    removed += await _clear_where(connections, BATCHES, is_old_batch, batches.remove)
    marks = delete(RESPONSES).where(
        RESPONSES.c.status == DELETED, RESPONSES.c.renewed_at < int(time.time()) - DAY_S
    )
    await connections.write(lambda connection: connection.execute(marks))
    await connections.write(forget_old)
    return removed


async def clear_large(connections: Connections, limits: StoreLimits) -> int:
    """Remove the oldest of each owner who has more than the size limit. How many."""
    query = union(select(RESPONSES.c.owner), select(CONVERSATIONS.c.owner))
    owners = await connections.read(lambda connection: _owners(connection, query))
    return sum([await clear_owner(connections, limits, owner) for owner in owners])


async def clear_owner(
    connections: Connections, limits: StoreLimits, owner: str, spared: Sequence[str | None] = ()
) -> int:
    """Remove an owner's oldest, if they have more than the size limit. How many.

    Responses by when they were made and conversations by their last use. Unfinished responses stay, and what
    is spared by its id.
    """
    used = await connections.read(lambda connection: used_bytes(connection, owner))
    if used <= limits.max_bytes_per_owner:
        return 0
    kept = [thing for thing in spared if thing is not None]
    is_finished = (RESPONSES.c.owner == owner) & RESPONSES.c.status.not_in((*UNFINISHED, DELETED))
    finished = _of_kind(_RESPONSE, RESPONSES.c.key, RESPONSES.c.created_at)
    unused = _of_kind(_CONVERSATION, CONVERSATIONS.c.key, CONVERSATIONS.c.used_at)
    oldest_first = union_all(
        finished.where(is_finished, RESPONSES.c.id.not_in(kept)),
        unused.where(CONVERSATIONS.c.owner == owner, CONVERSATIONS.c.id.not_in(kept)),
    ).order_by("at", "kind", "key")

    async def some(connection: AsyncConnection) -> int:
        """Remove some, as long as there is too much."""
        too_much = await used_bytes(connection, owner) - limits.bytes_after_clearing
        count = 0
        for row in (await connection.execute(oldest_first.limit(_BATCH))).all():
            if too_much <= 0:
                break
            too_much -= await _REMOVALS[row.kind](connection, row.key)
            count += 1
        return count

    removed = 0
    while count := await connections.write(some, owner):
        removed += count
    return removed


def _of_kind(kind: int, key: ColumnElement[int], at: ColumnElement[int]) -> Select[int, int, int]:
    """Rows of a table, with when they were made or used."""
    return select(literal(kind).label("kind"), key.label("key"), at.label("at"))


async def used_bytes(connection: AsyncConnection, owner: str) -> int:
    """What an owner has stored."""
    sums = [
        select(func.coalesce(func.sum(table.c.bytes), 0)).where(table.c.owner == owner)
        for table in (RESPONSES, ITEMS, CONVERSATIONS)
    ]
    return sum([int(await connection.scalar(query) or 0) for query in sums])


async def give_back_pages(connections: Connections) -> None:
    """Shorten SQLite's file by what is free in it. PostgreSQL uses free pages again by itself."""
    if not connections.is_sqlite:
        return
    free = await connections.read(lambda connection: connection.scalar(text("PRAGMA freelist_count")))
    for _ in range(0, int(free or 0), _FREED_PAGES):
        await connections.write(_give_back_some)


async def _give_back_some(connection: AsyncConnection) -> None:
    # It frees a page for each row without columns, of which only `executescript` fetches all
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is not None:  # as it always is until the connection is given back
        await driver.executescript(f"PRAGMA incremental_vacuum({_FREED_PAGES})")


async def _clear_where(
    connections: Connections, table: Table, condition: ColumnElement[bool], remove: Removal
) -> int:
    query = select(table.c.owner).where(condition).distinct()
    owners = await connections.read(lambda connection: _owners(connection, query))
    removed = 0
    for owner in owners:
        of_owner = select(table.c.key).where(condition, table.c.owner == owner).order_by("key").limit(_BATCH)

        async def batch(connection: AsyncConnection, query: Select[int] = of_owner) -> int:
            """Remove some of them."""
            keys = await _keys(connection, query)
            for key in keys:
                await remove(connection, key)
            return len(keys)

        while count := await connections.write(batch, owner):
            removed += count
    return removed


async def _owners(connection: AsyncConnection, query: Select[str] | CompoundSelect[str]) -> list[str]:
    return [str(owner) for owner in await connection.scalars(query)]


async def _keys(connection: AsyncConnection, query: Select[int]) -> list[int]:
    return [int(key) for key in await connection.scalars(query)]
