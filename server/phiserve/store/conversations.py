"""Conversations, in transactions that others begin."""

import time
from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import InvalidRequest
from phiserve.store import items as item_rows
from phiserve.store import removed
from phiserve.store.interface import Admit, Page, StoredConversation, StoredItem
from phiserve.store.tables import CONVERSATION_ITEMS, CONVERSATIONS, ITEMS, ROW_BYTES, size


async def create(
    connection: AsyncConnection, conversation: StoredConversation, items: Sequence[StoredItem], max_bytes: int
) -> None:
    """Insert a conversation. Raises InvalidRequest where its items are more than `max_bytes`."""
    values = {
        "id": conversation.id,
        "owner": conversation.owner,
        "created_at": conversation.created_at,
        "used_at": conversation.created_at,
        "bytes": size(conversation.metadata) + ROW_BYTES,
        "metadata": conversation.metadata,
    }
    result = await connection.execute(insert(CONVERSATIONS).values(values).returning(CONVERSATIONS.c.key))
    key = int(result.scalar_one())
    await check_room(connection, key, items, max_bytes, "items")
    await _add(connection, conversation.owner, key, items)


async def load(connection: AsyncConnection, owner: str, conversation_id: str) -> StoredConversation | None:
    """A conversation."""
    key = await key_of(connection, owner, conversation_id)
    if key is None:
        return None
    row = (await connection.execute(select(CONVERSATIONS).where(CONVERSATIONS.c.key == key))).one()
    return StoredConversation(row.id, row.owner, row.created_at, row.metadata)


async def key_of(connection: AsyncConnection, owner: str, conversation_id: str) -> int | None:
    """The key of an owner's conversation."""
    if not item_rows.is_possible(conversation_id):
        return None
    query = select(CONVERSATIONS.c.key).where(CONVERSATIONS.c.id == conversation_id)
    key: int | None = await connection.scalar(query.where(CONVERSATIONS.c.owner == owner))
    return key


async def update_metadata(
    connection: AsyncConnection, owner: str, conversation_id: str, metadata: str
) -> bool:
    """Replace a conversation's metadata. Whether it was there."""
    key = await key_of(connection, owner, conversation_id)
    if key is None:
        return False
    change = update(CONVERSATIONS).where(CONVERSATIONS.c.key == key)
    await connection.execute(change.values(metadata=metadata, bytes=size(metadata) + ROW_BYTES))
    await touch(connection, key)
    return True


async def delete_one(connection: AsyncConnection, owner: str, conversation_id: str) -> bool:
    """Remove a conversation by its id. Whether it was there."""
    key = await key_of(connection, owner, conversation_id)
    if key is not None:
        await remove(connection, key)
    return key is not None


async def remove(connection: AsyncConnection, key: int) -> int:
    """Remove a conversation and the items that were only its own. How many bytes they had."""
    query = select(CONVERSATION_ITEMS.c.item).where(CONVERSATION_ITEMS.c.conversation == key)
    references = [*await connection.scalars(query)]
    of_row = await connection.scalar(select(CONVERSATIONS.c.bytes).where(CONVERSATIONS.c.key == key))
    await connection.execute(delete(CONVERSATIONS).where(CONVERSATIONS.c.key == key))
    return int(of_row or 0) + await item_rows.remove_unreferenced(connection, references)


async def add(
    connection: AsyncConnection,
    owner: str,
    conversation_id: str,
    items: Sequence[StoredItem],
    max_bytes: int,
) -> bool:
    """Append items to a conversation. Whether it was there. Raises as `check_room`."""
    key = await key_of(connection, owner, conversation_id)
    if key is None:
        return False
    await check_room(connection, key, items, max_bytes, "items")
    await _add(connection, owner, key, items)
    await touch(connection, key)
    return True


async def check_room(
    connection: AsyncConnection, key: int, items: Sequence[StoredItem], max_bytes: int, param: str
) -> None:
    """Raises InvalidRequest where a conversation would have more bytes than these with some items more."""
    query = select(func.coalesce(func.sum(ITEMS.c.bytes), 0)).join(CONVERSATION_ITEMS)
    used = int(await connection.scalar(query.where(CONVERSATION_ITEMS.c.conversation == key)) or 0)
    total = used + sum(item_rows.counted(item) for item in items)
    if total > max_bytes:
        reason = (
            f"the conversation would have {total} bytes, and one may have {max_bytes} (half of "
            "state_max_bytes_per_owner); delete items of it, or begin another"
        )
        raise InvalidRequest(reason, param=param, code="conversation_too_large")


async def touch(connection: AsyncConnection, key: int) -> None:
    """It is being used."""
    now = int(time.time())
    await connection.execute(update(CONVERSATIONS).where(CONVERSATIONS.c.key == key).values(used_at=now))


async def append(connection: AsyncConnection, key: int, item_keys: Sequence[int]) -> None:
    """Append items that are stored already; those that are in the conversation stay where they are."""
    await _refer(connection, key, item_keys)
    await touch(connection, key)


async def page(
    connection: AsyncConnection, owner: str, conversation_id: str, asked: item_rows.PageAsked
) -> Page | None:
    """A page of a conversation's items."""
    key = await key_of(connection, owner, conversation_id)
    if key is None:
        return None
    condition, within = CONVERSATION_ITEMS.c.conversation == key, removed.items_of(key)
    return await item_rows.page(connection, CONVERSATION_ITEMS, condition, owner, asked, within)


async def item(
    connection: AsyncConnection, owner: str, conversation_id: str, item_id: str, admit: Admit
) -> StoredItem | None:
    """One item of a conversation."""
    found = await _find(connection, owner, conversation_id, item_id)
    return None if found is None else (await item_rows.load(connection, [found[1]], admit))[0]


async def remove_item(connection: AsyncConnection, owner: str, conversation_id: str, item_id: str) -> bool:
    """Take an item out of a conversation. Whether it was there."""
    found = await _find(connection, owner, conversation_id, item_id)
    if found is None:
        return False
    conversation, item_key = found
    references = CONVERSATION_ITEMS.c
    of_this = (references.conversation == conversation) & (references.item == item_key)
    query = delete(CONVERSATION_ITEMS).where(of_this).returning(references.position)
    position = (await connection.scalars(query)).one()
    await removed.remember(connection, removed.items_of(conversation), {item_id: position})
    await item_rows.remove_unreferenced(connection, [item_key])
    await touch(connection, conversation)
    return True


async def _find(
    connection: AsyncConnection, owner: str, conversation_id: str, item_id: str
) -> tuple[int, int] | None:
    """The keys of a conversation and of an item in it."""
    key = await key_of(connection, owner, conversation_id)
    item_key = (await item_rows.keys_of(connection, owner, [item_id])).get(item_id)
    if key is None or item_key is None:
        return None
    references = CONVERSATION_ITEMS.c
    query = select(references.item).where(references.conversation == key, references.item == item_key)
    return None if await connection.scalar(query) is None else (key, item_key)


async def _add(connection: AsyncConnection, owner: str, key: int, items: Sequence[StoredItem]) -> None:
    await item_rows.put(connection, owner, items)
    keys = await item_rows.keys_of(connection, owner, [item.id for item in items])
    await _refer(connection, key, [keys[item.id] for item in items])


async def _refer(connection: AsyncConnection, key: int, item_keys: Sequence[int]) -> None:
    references = CONVERSATION_ITEMS.c
    of_this = references.conversation == key
    there = {*await connection.scalars(select(references.item).where(of_this))}
    last = await connection.scalar(select(func.max(references.position)).where(of_this))
    new = [item for item in dict.fromkeys(item_keys) if item not in there]
    begin = 0 if last is None else last + 1
    rows = [{"conversation": key, "position": begin + n, "item": item} for n, item in enumerate(new)]
    if rows:
        await connection.execute(insert(CONVERSATION_ITEMS), rows)
