"""What a request refers to, read from the store, and what of its own is to be stored."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phiserve.api.responses.history import HistoryShare, history_share
from phiserve.api.services import Services
from phiserve.errors import InvalidRequest, NotFound, errors_at
from phiserve.protocol.responses.items import InputItem, ItemReference
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.stored_items import own_items, read_items, written_item
from phiserve.protocol.responses.turns import NOTHING_EARLIER, Earlier
from phiserve.store.interface import Admit, Store, StoredItem

SWITCHED_OFF = "this server stores nothing: its setting state_url is off"

CONTINUED = ("completed", "incomplete")
"""What a response must be called to be continued: its answer is known, and will not change."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A request, and what it follows.

    `request` has no reference left in it. `earlier` are the items before its own. `context` has the ids of
    all items before the answer, of which `own` are new.
    """

    request: ResponsesRequest
    earlier: Earlier = NOTHING_EARLIER
    context: tuple[str, ...] = ()
    own: tuple[StoredItem, ...] = ()


async def gather(services: Services, owner: str, asked: ResponsesRequest, *, is_kept: bool) -> Gathered:
    """Read what a request refers to; where it `is_kept`, its own items are written.

    Raises InvalidRequest and NotFound, which name the field, for what is not there, can't be continued or is
    more than a body may be; Overloaded, before anything is loaded, where there is no room now; StoreFailure.
    """
    if services.store is None:
        refuse_without_store(asked)
        return Gathered(asked)
    with history_share(services.bodies, services.settings.max_body_bytes) as share:
        return await _gathered(services.store, owner, asked, share, is_kept=is_kept)


async def _gathered(
    store: Store, owner: str, asked: ResponsesRequest, share: HistoryShare, *, is_kept: bool
) -> Gathered:
    earlier_items, param = await _earlier(store, owner, asked, share.admit)
    given = own_items(asked.input) if is_kept or not isinstance(asked.input, str) else ()
    references = [item.id for item in given if isinstance(item, ItemReference)]
    referred = await _referred(store, owner, given, references, share.admit) if references else {}
    if not (is_kept or earlier_items or references):
        return Gathered(asked)
    payloads = [item.payload for item in earlier_items]
    read, written = await asyncio.to_thread(_prepared, payloads, given, referred, is_kept=is_kept)
    resolved, own = written
    with errors_at(param):
        share.check_with(own)
    if references:
        asked = asked.model_copy(update={"input": resolved})
    context = [item.id for item in earlier_items]
    new = iter(own)
    for item in given if is_kept else ():
        context.append(item.id if isinstance(item, ItemReference) else next(new).id)
    return Gathered(asked, Earlier(read, param), tuple(context), tuple(own))


def refuse_without_store(asked: ResponsesRequest) -> None:
    """Raises InvalidRequest for what needs a store, where there is none."""
    for name in ("previous_response_id", "conversation", "background"):
        if getattr(asked, name):
            raise InvalidRequest(SWITCHED_OFF, param=name, code="unsupported_parameter")
    for index, item in enumerate(asked.input or ()):
        if isinstance(item, ItemReference):
            raise InvalidRequest(SWITCHED_OFF, param=f"input[{index}]", code="unsupported_parameter")


async def _earlier(
    store: Store, owner: str, asked: ResponsesRequest, admit: Admit
) -> tuple[Sequence[StoredItem], str]:
    """The items before a request's own, and the field that stands for them."""
    if asked.previous_response_id is not None:
        return await _of_response(store, owner, asked.previous_response_id, admit), "previous_response_id"
    if asked.conversation is not None:
        with errors_at("conversation"):
            page = await store.conversation_items(owner, asked.conversation.id, None, None, "asc", admit)
        if page is None:
            raise conversation_not_found(asked.conversation.id, param="conversation")
        return page.items, "conversation"
    return (), "input"


async def _of_response(store: Store, owner: str, response_id: str, admit: Admit) -> Sequence[StoredItem]:
    param = "previous_response_id"
    previous = await store.response(owner, response_id)
    if previous is None:
        reason = f"Previous response with id {response_id!r} not found."
        raise InvalidRequest(reason, param=param, code="previous_response_not_found")  # OpenAI's 400
    if previous.status not in CONTINUED:
        reason = f"the response is {previous.status}; only one that has an answer can be continued"
        raise InvalidRequest(reason, param=param)
    with errors_at(param):
        return await store.items(owner, [*previous.context, *previous.output], admit)


async def _referred(
    store: Store, owner: str, given: Sequence[object], ids: Sequence[str], admit: Admit
) -> Mapping[str, str]:
    with errors_at("input"):
        items = await store.items(owner, [*dict.fromkeys(ids)], admit)
    found = {item.id: item.payload for item in items}
    for index, item in enumerate(given):
        if isinstance(item, ItemReference) and item.id not in found:
            raise NotFound(f"Item with id {item.id!r} not found.", param=f"input[{index}]")
    return found


def _prepared(
    payloads: Sequence[str],
    given: Sequence[InputItem | ItemReference],
    referred: Mapping[str, str],
    *,
    is_kept: bool,
) -> tuple[tuple[InputItem, ...], tuple[tuple[InputItem, ...], list[StoredItem]]]:
    """The earlier items, the request's own without references, and the new ones as they are stored.

    Takes long where there are images.
    """
    known = dict(zip(referred, read_items([*referred.values()]), strict=True))
    resolved = tuple(known[item.id] if isinstance(item, ItemReference) else item for item in given)
    new = [item for item in given if not isinstance(item, ItemReference)] if is_kept else []
    return read_items(payloads), (resolved, [StoredItem(*written_item(item)) for item in new])


def conversation_not_found(conversation_id: str, *, param: str | None = None) -> NotFound:
    """In OpenAI's words."""
    return NotFound(f"Conversation with id {conversation_id!r} not found.", param=param)


def response_not_found(response_id: str) -> NotFound:
    """In OpenAI's words."""
    return NotFound(f"Response with id {response_id!r} not found.")
