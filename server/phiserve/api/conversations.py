"""`/v1/conversations`: conversations that responses are added to, and their items."""

import asyncio
import time
import uuid
from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Raw

from phiserve.api.answering import read_wire
from phiserve.api.authorization import owner_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, responses
from phiserve.api.paging import PAGE_PARAMETERS, held_response, page_response
from phiserve.api.responses.gathering import SWITCHED_OFF, conversation_not_found
from phiserve.api.services import services_of
from phiserve.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimitReached,
    RequestError,
    RequestTooLarge,
    StoreFailure,
    UnsupportedCoding,
)
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.conversations import (
    ChangedConversation,
    ConversationDeleted,
    ConversationObject,
    ItemList,
    NewConversation,
    NewItems,
)
from phiserve.protocol.responses.items import InputItem, ItemReference
from phiserve.protocol.responses.stored_items import own_items, written_item
from phiserve.store.interface import Admit, Store, StoredConversation, StoredItem

router = APIRouter(tags=["conversations"], default_response_class=Response)

_PATH = "/v1/conversations/{conversation_id}"
_ITEM_PATH = "/v1/conversations/{conversation_id}/items/{item_id}"
_ERRORS: tuple[type[RequestError], ...] = (InvalidRequest, NotFound, StoreFailure)
_LOADING_ERRORS = (*_ERRORS, Overloaded)
_WRITING_ERRORS = (*_ERRORS, RequestTooLarge, UnsupportedCoding, RateLimitReached)


@router.post(
    "/v1/conversations",
    summary="Begin a conversation",
    openapi_extra=body_of(NewConversation),
    responses=responses(ConversationObject, *_WRITING_ERRORS),
)
async def create_conversation(request: Request) -> Response:
    """With some items, or none."""
    store = _store(request)
    asked = await read_wire(request, services_of(request), NewConversation)
    items = await _written(asked.items or ())
    conversation = StoredConversation(
        f"conv_{uuid.uuid4().hex}",
        owner_of(request),
        int(time.time()),
        encode_json(asked.metadata or {}).decode(),
    )
    await store.create_conversation(conversation, items)
    return json_response(_shown(conversation))


@router.get(_PATH, summary="A conversation", responses=responses(ConversationObject, *_ERRORS))
async def retrieve_conversation(request: Request, conversation_id: str) -> Response:
    """Without its items."""
    return json_response(_shown(await _found(request, conversation_id)))


@router.post(
    _PATH,
    summary="Change a conversation's metadata",
    openapi_extra=body_of(ChangedConversation),
    responses=responses(ConversationObject, *_WRITING_ERRORS),
)
async def update_conversation(request: Request, conversation_id: str) -> Response:
    """It has these instead of those that it had."""
    store = _store(request)
    asked = await read_wire(request, services_of(request), ChangedConversation)
    metadata = encode_json(asked.metadata or {}).decode()
    if not await store.update_conversation(owner_of(request), conversation_id, metadata):
        raise conversation_not_found(conversation_id)
    return json_response(_shown(await _found(request, conversation_id)))


@router.delete(_PATH, summary="Delete a conversation", responses=responses(ConversationDeleted, *_ERRORS))
async def delete_conversation(request: Request, conversation_id: str) -> Response:
    """It is gone; responses that belonged to it stay, with their items."""
    if not await _store(request).delete_conversation(owner_of(request), conversation_id):
        raise conversation_not_found(conversation_id)
    return json_response(ConversationDeleted(conversation_id))


@router.post(
    f"{_PATH}/items",
    summary="Add items to a conversation",
    openapi_extra=body_of(NewItems),
    responses=responses(ItemList, *_WRITING_ERRORS),
)
async def add_items(request: Request, conversation_id: str) -> Response:
    """The items that were added, with their ids."""
    store = _store(request)
    asked = await read_wire(request, services_of(request), NewItems)
    items = await _written(asked.items)
    if not await store.add_items(owner_of(request), conversation_id, items):
        raise conversation_not_found(conversation_id)
    return json_response(ItemList.of([(item.id, item.payload) for item in items], has_more=False))


@router.get(
    f"{_PATH}/items",
    summary="A conversation's items",
    openapi_extra=PAGE_PARAMETERS,
    responses=responses(ItemList, *_LOADING_ERRORS),
)
async def list_items(request: Request, conversation_id: str) -> Response:
    """A page of them, answers among them. What `include` may name is always there."""
    store, owner = _store(request), owner_of(request)
    return await page_response(
        request,
        lambda query, admit, max_bytes: store.conversation_items(
            owner, conversation_id, query.after, query.limit, query.order, admit, max_bytes
        ),
        conversation_not_found(conversation_id),
    )


@router.get(_ITEM_PATH, summary="An item of a conversation", responses=responses(None, *_LOADING_ERRORS))
async def retrieve_item(request: Request, conversation_id: str, item_id: str) -> Response:
    """One item."""
    store, owner = _store(request), owner_of(request)

    async def load(admit: Admit) -> Raw:
        """Its JSON."""
        item = await store.conversation_item(owner, conversation_id, item_id, admit)
        if item is None:
            raise _item_not_found(conversation_id, item_id)
        return Raw(item.payload.encode())

    return await held_response(request, load)


@router.delete(
    _ITEM_PATH,
    summary="Take an item out of a conversation",
    responses=responses(ConversationObject, *_ERRORS),
)
async def delete_item(request: Request, conversation_id: str, item_id: str) -> Response:
    """The conversation, without the item; responses that had it before them keep it."""
    if not await _store(request).delete_item(owner_of(request), conversation_id, item_id):
        raise _item_not_found(conversation_id, item_id)
    return json_response(_shown(await _found(request, conversation_id)))


def _store(request: Request) -> Store:
    """Raises NotFound where nothing is stored."""
    store = services_of(request).store
    if store is None:
        raise NotFound(f"There are no conversations: {SWITCHED_OFF}")
    return store


async def _found(request: Request, conversation_id: str) -> StoredConversation:
    """Raises NotFound, also where it is another owner's."""
    found = await _store(request).conversation(owner_of(request), conversation_id)
    if found is None:
        raise conversation_not_found(conversation_id)
    return found


async def _written(given: Sequence[object]) -> list[StoredItem]:
    """Items as they are stored. Raises InvalidRequest for a reference: an item belongs where it was made."""
    items: list[InputItem] = []
    for index, item in enumerate(own_items(given)):
        if isinstance(item, ItemReference):
            raise InvalidRequest("an item is added as it is, not by reference", param=f"items[{index}]")
        items.append(item)
    return await asyncio.to_thread(lambda: [StoredItem(*written_item(item)) for item in items])


def _item_not_found(conversation_id: str, item_id: str) -> NotFound:
    return NotFound(f"Item with id {item_id!r} not found in conversation {conversation_id!r}.")


def _shown(conversation: StoredConversation) -> ConversationObject:
    metadata = msgspec.json.decode(conversation.metadata, type=dict[str, str])
    return ConversationObject(conversation.id, conversation.created_at, metadata)
