"""Items: rows that responses and conversations share, in transactions that others begin."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

from sqlalchemy import Column, ColumnElement, Table, delete, exists, false, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store import removed
from phiserve.store.interface import Admit, Order, Page, StoredItem, admit_all
from phiserve.store.tables import CONVERSATION_ITEMS, ITEMS, RESPONSE_ITEMS, ROW_BYTES, size

_Value = TypeVar("_Value")

_MOST_VALUES = 1000
"""Values of one statement; databases allow some tens of thousands."""

_MOST_PAYLOADS = 100
"""Payloads of one statement."""


def is_possible(item_id: str) -> bool:
    """Whether an id of a client's can be one of ours: others PostgreSQL can't even be asked about."""
    return item_id.isascii() and "\0" not in item_id


def counted(item: StoredItem) -> int:
    """What an item counts for."""
    return size(item.payload) + ROW_BYTES


async def put(connection: AsyncConnection, owner: str, items: Iterable[StoredItem]) -> None:
    """Insert items; one that is there already gets this payload, if it has another."""
    by_id = {item.id: item for item in items}
    known = await keys_of(connection, owner, by_id)
    rows = [
        {"owner": owner, "id": item.id, "bytes": counted(item), "payload": item.payload}
        for item in by_id.values()
    ]
    new = [row for row in rows if row["id"] not in known]
    for few in _slices(new, _MOST_PAYLOADS):
        await connection.execute(insert(ITEMS), few)
    for row in rows:
        if (key := known.get(str(row["id"]))) is not None:
            is_another = (ITEMS.c.key == key) & (ITEMS.c.payload != row["payload"])
            change = update(ITEMS).where(is_another)
            await connection.execute(change.values(bytes=row["bytes"], payload=row["payload"]))


async def keys_of(connection: AsyncConnection, owner: str, ids: Iterable[str]) -> dict[str, int]:
    """The keys of an owner's items by their ids, as far as they are there."""
    found: dict[str, int] = {}
    for few in _slices([item_id for item_id in ids if is_possible(item_id)], _MOST_VALUES):
        query = select(ITEMS.c.id, ITEMS.c.key).where(ITEMS.c.owner == owner, ITEMS.c.id.in_(few))
        found.update({row.id: row.key for row in await connection.execute(query)})
    return found


@dataclass(frozen=True, slots=True)
class PageAsked:
    """At most `limit` items from behind the item `after`, and of `max_bytes`, unless the first has more."""

    after: str | None
    limit: int | None
    order: Order
    admit: Admit = admit_all
    max_bytes: int | None = None


async def load(
    connection: AsyncConnection, keys: Sequence[int], admit: Admit = admit_all
) -> tuple[StoredItem, ...]:
    """Items by their keys, in that order."""
    sizes = await _sizes(connection, keys)
    admit(sum(sizes[key] for key in keys))
    found: dict[int, StoredItem] = {}
    for few in _slices(list(dict.fromkeys(keys)), _MOST_PAYLOADS):
        query = select(ITEMS.c.key, ITEMS.c.id, ITEMS.c.payload).where(ITEMS.c.key.in_(few))
        found.update({row.key: StoredItem(row.id, row.payload) for row in await connection.execute(query)})
    return tuple(found[key] for key in keys)


async def load_by_ids(
    connection: AsyncConnection, owner: str, item_ids: Sequence[str], admit: Admit
) -> tuple[StoredItem, ...]:
    """An owner's items by their ids, in that order; those that are gone are left out."""
    keys = await keys_of(connection, owner, dict.fromkeys(item_ids))
    return await load(connection, [keys[item_id] for item_id in item_ids if item_id in keys], admit)


async def page(
    connection: AsyncConnection,
    references: Table,
    condition: ColumnElement[bool],
    owner: str,
    asked: PageAsked,
    within: str | None = None,
) -> Page:
    """Some items that `references` has where `condition` holds; nothing comes after one that was never there.

    `within`: see `removed`, where items can be removed one by one.
    """
    position: Column[int] = references.c.position
    after, limit, order = asked.after, asked.limit, asked.order
    if after is not None:
        key = (await keys_of(connection, owner, [after])).get(after)
        begin = await connection.scalar(select(position).where(condition, references.c.item == key).limit(1))
        comes_after = None
        if begin is not None:
            comes_after = position > begin if order == "asc" else position < begin
        elif within is not None and is_possible(after):
            comes_after = await removed.after(connection, within, after, position, order)
        condition &= false() if comes_after is None else comes_after
    ordered = position.asc() if order == "asc" else position.desc()
    query = select(references.c.item).where(condition).order_by(ordered)
    keys = [*await connection.scalars(query if limit is None else query.limit(limit + 1))]
    shown = keys if limit is None else keys[:limit]
    if asked.max_bytes is not None:
        sizes = await _sizes(connection, shown)
        shown = shown[: _num_within(asked.max_bytes, [sizes[key] for key in shown])]
    return Page(await load(connection, shown, asked.admit), len(keys) > len(shown))


async def remove_unreferenced(connection: AsyncConnection, keys: Collection[int]) -> int:
    """Remove those of these items that nothing refers to any more. How many bytes they had."""
    freed = 0
    in_response = exists().where(RESPONSE_ITEMS.c.item == ITEMS.c.key)
    in_conversation = exists().where(CONVERSATION_ITEMS.c.item == ITEMS.c.key)
    for few in _slices(list(keys), _MOST_VALUES):
        query = select(ITEMS.c.key, ITEMS.c.bytes).where(ITEMS.c.key.in_(few), ~in_response, ~in_conversation)
        rows = (await connection.execute(query)).all()
        if rows:
            await connection.execute(delete(ITEMS).where(ITEMS.c.key.in_([row.key for row in rows])))
        freed += sum(row.bytes for row in rows)
    return freed


async def _sizes(connection: AsyncConnection, keys: Iterable[int]) -> dict[int, int]:
    """Keys of items, each once, and what these count for."""
    sizes = dict.fromkeys(keys, 0)
    for few in _slices([*sizes], _MOST_VALUES):
        query = select(ITEMS.c.key, ITEMS.c.bytes).where(ITEMS.c.key.in_(few))
        sizes |= {row.key: row.bytes for row in await connection.execute(query)}
    return sizes


def _num_within(max_bytes: int, sizes: Sequence[int]) -> int:
    """How many of the first items are not too much together; one at least, if there is any."""
    fitting = sum(total <= max_bytes for total in accumulate(sizes))
    return min(len(sizes), max(1, fitting))


def _slices(values: Sequence[_Value], most: int) -> Iterator[Sequence[_Value]]:
    return (values[start : start + most] for start in range(0, len(values), most))
