"""Responses, conversations and items to store, and a store that is open for as long as a test takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store.interface import Status, Store, StoredConversation, StoredItem, StoredResponse
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.sql_store import SqlStore
from phiserve.store.tables import RESPONSES

_Result = TypeVar("_Result")

NOW = int(time.time())


def item(item_id: str, content: str = "") -> StoredItem:
    """An item, whose payload says which it is."""
    return StoredItem(item_id, f'{{"id":"{item_id}","content":"{content}"}}')


def items(*ids: str) -> tuple[StoredItem, ...]:
    """Several items."""
    return tuple(item(item_id) for item_id in ids)


def response(
    response_id: str = "resp_1",
    context: Sequence[str] = (),
    output: Sequence[str] = (),
    *,
    owner: str = "",
    status: Status = "completed",
    conversation: str | None = None,
    created_at: int = NOW,
) -> StoredResponse:
    """A response; an unfinished one has its request."""
    return StoredResponse(
        id=response_id,
        owner=owner,
        created_at=created_at,
        status=status,
        payload=f'{{"id":"{response_id}","status":"{status}"}}',
        request='{"input":"?"}' if status in ("queued", "in_progress") else None,
        context=tuple(context),
        output=tuple(output),
        conversation=conversation,
    )


def conversation(
    conversation_id: str = "conv_1", *, owner: str = "", created_at: int = NOW
) -> StoredConversation:
    """A conversation without metadata."""
    return StoredConversation(conversation_id, owner, created_at, "{}")


def opened(url: str, limits: StoreLimits | None = None) -> Store:
    """The store at a URL."""
    store = open_store(url, limits or StoreLimits())
    assert store is not None
    return store


def on_store(
    url: str, use: Callable[[Store], Awaitable[_Result]], limits: StoreLimits | None = None
) -> _Result:
    """Use the store at a URL, in an event loop of its own, and close it."""

    async def run() -> _Result:
        store = opened(url, limits)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def left_alone(store: Store, *ids: str, seconds: int = 1000) -> None:
    """No server has worked on any response for so long or, where these are named, on these."""
    assert isinstance(store, SqlStore)
    change = update(RESPONSES).values(renewed_at=int(time.time()) - seconds)
    if ids:
        change = change.where(RESPONSES.c.id.in_(ids))
    await store._connections.write(lambda connection: connection.execute(change))


@asynccontextmanager
async def busy(store: Store) -> AsyncIterator[None]:
    """A transaction about the things of the owner "" is under way, for which others wait."""
    assert isinstance(store, SqlStore)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def work(_connection: AsyncConnection) -> None:
        begun.set()
        await may_end.wait()

    writing = asyncio.create_task(store._connections.write(work, ""))
    await asyncio.wait_for(begun.wait(), 30)
    yield
    may_end.set()
    await writing


async def ids_in(store: Store, conversation_id: str = "conv_1", owner: str = "") -> list[str] | None:
    """The ids of a conversation's items, in their order."""
    page = await store.conversation_items(owner, conversation_id, None, None, "asc")
    return None if page is None else [found.id for found in page.items]
