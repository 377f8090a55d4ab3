"""Responses, in transactions that others begin."""

import time
from collections.abc import Sequence

from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store import conversations
from phiserve.store import items as item_rows
from phiserve.store.interface import UNFINISHED, Page, Status, StoredItem, StoredResponse
from phiserve.store.tables import DELETED, ITEMS, RESPONSE_ITEMS, RESPONSES, ROW_BYTES, size


async def save(
    connection: AsyncConnection, response: StoredResponse, items: Sequence[StoredItem], max_bytes: int
) -> bool:
    """Insert or replace a response, as the interface of the store says; `max_bytes`: of a conversation."""
    owner = response.owner
    query = select(RESPONSES.c.key, RESPONSES.c.owner, RESPONSES.c.status)
    stored = (await connection.execute(query.where(RESPONSES.c.id == response.id))).first()
    if stored is not None and (stored.owner != owner or stored.status not in UNFINISHED):
        return False
    conversation = None
    if response.conversation is not None:
        conversation = await conversations.key_of(connection, owner, response.conversation)
        if conversation is None:
            return False
        if stored is None:
            await conversations.check_room(connection, conversation, items, max_bytes, "conversation")
            await conversations.touch(connection, conversation)
    referred = (*response.context, *response.output)
    new_ids = {item.id for item in items}.intersection(referred)
    await item_rows.put(connection, owner, [item for item in items if item.id in new_ids])
    keys = await item_rows.keys_of(connection, owner, dict.fromkeys(referred))
    before = {} if stored is None else await _references(connection, stored.key)
    new = {keys[item_id] for item_id in new_ids} | {key for key, is_new in before.items() if is_new}
    response_key = await _put(connection, None if stored is None else stored.key, response)
    await _refer(connection, response_key, response, keys, new)
    if conversation is not None and response.status not in UNFINISHED:
        appended = [keys[item_id] for item_id in referred if keys.get(item_id) in new]
        await conversations.append(connection, conversation, appended)
    await item_rows.remove_unreferenced(connection, before.keys() - {*keys.values()})
    return True


async def load(connection: AsyncConnection, owner: str, response_id: str) -> StoredResponse | None:
    """A response; None where it is not there, or deleted."""
    key = await key_of(connection, owner, response_id)
    return None if key is None else await _load(connection, key)


async def key_of(connection: AsyncConnection, owner: str, response_id: str) -> int | None:
    """The key of an owner's response."""
    if not item_rows.is_possible(response_id):
        return None
    query = select(RESPONSES.c.key).where(RESPONSES.c.id == response_id, RESPONSES.c.owner == owner)
    key: int | None = await connection.scalar(query.where(RESPONSES.c.status != DELETED))
    return key


async def input_items(
    connection: AsyncConnection, owner: str, response_id: str, asked: item_rows.PageAsked
) -> Page | None:
    """A page of a response's context."""
    key = await key_of(connection, owner, response_id)
    if key is None:
        return None
    condition = (RESPONSE_ITEMS.c.response == key) & ~RESPONSE_ITEMS.c.is_output
    return await item_rows.page(connection, RESPONSE_ITEMS, condition, owner, asked)


async def delete_one(connection: AsyncConnection, owner: str, response_id: str) -> bool:
    """Remove a response by its id. Whether it was there."""
    key = await key_of(connection, owner, response_id)
    if key is not None:
        await remove(connection, key)
    return key is not None


async def remove(connection: AsyncConnection, key: int) -> int:
    """Remove a response and the items that were only its own. How many bytes they had.

    Of an unfinished one a mark is left, so that whoever works on it learns of it, and can't save it again.
    """
    references = await _references(connection, key)
    query = select(RESPONSES.c.bytes, RESPONSES.c.status).where(RESPONSES.c.key == key)
    row = (await connection.execute(query)).one()
    if row.status in UNFINISHED:
        await connection.execute(delete(RESPONSE_ITEMS).where(RESPONSE_ITEMS.c.response == key))
        mark = {"status": DELETED, "renewed_at": int(time.time()), "request": None, "payload": ""}
        change = update(RESPONSES).where(RESPONSES.c.key == key)
        await connection.execute(change.values(**mark, bytes=ROW_BYTES, conversation=None))
    else:
        await connection.execute(delete(RESPONSES).where(RESPONSES.c.key == key))
    return int(row.bytes) + await item_rows.remove_unreferenced(connection, references)


async def renew(connection: AsyncConnection, response_ids: Sequence[str]) -> frozenset[str]:
    """Set the time of those that are unfinished; the others."""
    ids = RESPONSES.c.id.in_(response_ids)
    found = await _locked(connection, select(RESPONSES.c.key, RESPONSES.c.id).where(ids).order_by("key"))
    return frozenset(response_ids) - {row.id for row in found}


async def claim(connection: AsyncConnection, older_than_s: int, limit: int) -> list[StoredResponse]:
    """Set the time of some that nobody has renewed for so long; those."""
    is_left = RESPONSES.c.renewed_at < int(time.time()) - older_than_s
    query = select(RESPONSES.c.key, RESPONSES.c.id).where(is_left).order_by(RESPONSES.c.created_at)
    found = await _locked(connection, query.limit(limit), skips=True)
    return [await _load(connection, row.key) for row in found]


async def _locked(
    connection: AsyncConnection, query: Select[int, str], *, skips: bool = False
) -> Sequence[Row[int, str]]:
    """The unfinished ones that a query finds, renewed; `skips`: without those that another server finds."""
    unfinished = query.where(RESPONSES.c.status.in_(UNFINISHED)).with_for_update(skip_locked=skips)
    rows = (await connection.execute(unfinished)).all()
    now = int(time.time())
    keys = [row.key for row in rows]
    await connection.execute(update(RESPONSES).where(RESPONSES.c.key.in_(keys)).values(renewed_at=now))
    return rows


async def _put(connection: AsyncConnection, key: int | None, response: StoredResponse) -> int:
    values = {
        "id": response.id,
        "owner": response.owner,
        "created_at": response.created_at,
        "renewed_at": int(time.time()),  # now: its turn to be stored may have taken long to come
        "status": response.status,
        "conversation": response.conversation,
        "bytes": size(response.payload, response.request)
        + ROW_BYTES * (1 + len(response.context) + len(response.output)),
        "request": response.request,
        "payload": response.payload,
    }
    if key is not None:
        await connection.execute(update(RESPONSES).where(RESPONSES.c.key == key).values(values))
        return key
    result = await connection.execute(insert(RESPONSES).values(values).returning(RESPONSES.c.key))
    return int(result.scalar_one())


async def _refer(
    connection: AsyncConnection, key: int, response: StoredResponse, keys: dict[str, int], new: set[int]
) -> None:
    """Have a response refer to its items, as far as they are there, in place of those of before."""
    await connection.execute(delete(RESPONSE_ITEMS).where(RESPONSE_ITEMS.c.response == key))
    sides = ((False, response.context), (True, response.output))
    rows = [
        {"response": key, "is_output": is_output, "position": n, "item": item, "is_new": item in new}
        for is_output, ids in sides
        for n, item_id in enumerate(ids)
        if (item := keys.get(item_id)) is not None
    ]
    if rows:
        await connection.execute(insert(RESPONSE_ITEMS), rows)


async def _references(connection: AsyncConnection, key: int) -> dict[int, bool]:
    """The keys of the items that a response refers to, and whether they came with it."""
    query = select(RESPONSE_ITEMS.c.item, RESPONSE_ITEMS.c.is_new).where(RESPONSE_ITEMS.c.response == key)
    return {row.item: row.is_new for row in await connection.execute(query)}


async def _load(connection: AsyncConnection, key: int) -> StoredResponse:
    row = (await connection.execute(select(RESPONSES).where(RESPONSES.c.key == key))).one()
    query = select(RESPONSE_ITEMS.c.is_output, ITEMS.c.id).join(ITEMS, RESPONSE_ITEMS.c.item == ITEMS.c.key)
    query = query.where(RESPONSE_ITEMS.c.response == key).order_by(RESPONSE_ITEMS.c.position)
    references = (await connection.execute(query)).all()
    status: Status = row.status
    return StoredResponse(
        id=row.id,
        owner=row.owner,
        created_at=row.created_at,
        status=status,
        payload=row.payload,
        request=row.request,
        context=tuple(reference.id for reference in references if not reference.is_output),
        output=tuple(reference.id for reference in references if reference.is_output),
        conversation=row.conversation,
    )
