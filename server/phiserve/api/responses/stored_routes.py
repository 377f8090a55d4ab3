"""`/v1/responses/{id}`: responses that are stored."""

from typing import get_args

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace
from starlette.datastructures import QueryParams

from phiserve.api.answering import stream_frames
from phiserve.api.authorization import owner_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import responses
from phiserve.api.paging import PAGE_PARAMETERS, Schema, page_response
from phiserve.api.request_log import record_of
from phiserve.api.responses.background import background_of
from phiserve.api.responses.gathering import SWITCHED_OFF, response_not_found
from phiserve.api.responses.keeping import Keeper, ended_response
from phiserve.api.responses.telling import Telling
from phiserve.api.services import services_of
from phiserve.api.streaming import unless_hung_up
from phiserve.errors import InvalidRequest, NotFound, Overloaded, StoreFailure
from phiserve.protocol.responses.conversations import ItemList
from phiserve.protocol.responses.events import Event
from phiserve.protocol.responses.response import ResponseDeleted, ResponseObject
from phiserve.store.interface import UNFINISHED, StoredResponse

router = APIRouter(tags=["responses"], default_response_class=Response)

_ERRORS = (InvalidRequest, NotFound, StoreFailure)
_LISTING_ERRORS = (*_ERRORS, Overloaded)

_MAX_EVENT_DIGITS = 9

_STREAM_PARAMETERS: dict[str, list[dict[str, str | Schema]]] = {
    "parameters": [
        {"name": "stream", "in": "query", "schema": {"type": "boolean", "default": False}},
        {
            "name": "starting_after",
            "in": "query",
            "schema": {"type": "integer", "minimum": 0, "maximum": 10**_MAX_EVENT_DIGITS - 1},
        },
    ]
}
"""`openapi_extra` of the route that shows a response."""


@router.get(
    "/v1/responses/{response_id}",
    summary="A stored response",
    openapi_extra=_STREAM_PARAMETERS,
    responses=responses(ResponseObject, *_ERRORS, typed_stream=get_args(Event)),
)
async def retrieve_response(request: Request, response_id: str) -> Response:
    """As it stands, or with `stream` its events, from behind number `starting_after`, until it has ended.

    What `include` may name is always there.
    """
    first = _first_event(request.query_params)
    found = await _found(request, response_id)
    background = background_of(request)
    if first is None or background is None:
        return _shown(found.payload)
    return await stream_telling(request, background.telling(found.owner, response_id, first))


@router.delete(
    "/v1/responses/{response_id}",
    summary="Delete a response",
    responses=responses(ResponseDeleted, *_ERRORS),
)
async def delete_response(request: Request, response_id: str) -> Response:
    """It is gone, and work on it ends. What conversations and other responses have of it stays with them."""
    keeper = _keeper(request)
    if not await keeper.store.delete_response(owner_of(request), response_id):
        raise response_not_found(response_id)
    keeper.stop(response_id)
    if (background := background_of(request)) is not None:
        background.logs.forget(response_id)
    return json_response(ResponseDeleted(response_id))


@router.post(
    "/v1/responses/{response_id}/cancel",
    summary="End a response that is answered in the background",
    responses=responses(ResponseObject, *_ERRORS),
)
async def cancel_response(request: Request, response_id: str) -> Response:
    """The response, cancelled; one that has ended stays as it is."""
    keeper = _keeper(request)
    stored = await _found(request, response_id)
    response = msgspec.json.decode(stored.payload, type=ResponseObject)
    if not response.background:
        raise InvalidRequest("Cannot cancel a synchronous response.")
    if stored.status not in UNFINISHED:
        return _shown(stored.payload)
    cancelled = ended_response(stored, replace(response, status="cancelled"))
    saved = await keeper.store.save_response(cancelled, ())
    keeper.stop(response_id)
    return _shown(cancelled.payload if saved else (await _found(request, response_id)).payload)


@router.get(
    "/v1/responses/{response_id}/input_items",
    summary="What a response is an answer to",
    openapi_extra=PAGE_PARAMETERS,
    responses=responses(ItemList, *_LISTING_ERRORS),
)
async def list_input_items(request: Request, response_id: str) -> Response:
    """A page of the items before its answer, those of earlier responses among them."""
    store, owner = _keeper(request).store, owner_of(request)
    return await page_response(
        request,
        lambda query, admit, max_bytes: store.input_items(
            owner, response_id, query.after, query.limit, query.order, admit, max_bytes
        ),
        response_not_found(response_id),
    )


async def stream_telling(request: Request, telling: Telling) -> Response:
    """The events of a response, which goes on whether its client stays or not."""
    record_of(request.scope).stream = True
    streaming = stream_frames(services_of(request), telling.frames(), telling.fail)
    return await unless_hung_up(request.receive, streaming)


def _first_event(query: QueryParams) -> int | None:
    """The number of the first event that is asked for; None where none is, whatever else is sent.

    Raises InvalidRequest, which names the parameter.
    """
    is_streamed, after = query.get("stream", "false"), query.get("starting_after")
    if is_streamed not in ("true", "false"):
        raise InvalidRequest("must be true or false", param="stream")
    if is_streamed == "true" and query.get("include_obfuscation", "false") != "false":
        raise InvalidRequest(
            "nothing is obfuscated", param="include_obfuscation", code="unsupported_parameter"
        )
    if after is not None and not _is_event_number(after):
        raise InvalidRequest("must be the number of an event, from 0", param="starting_after")
    if is_streamed == "false":
        return None
    return 0 if after is None else int(after) + 1


def _is_event_number(text: str) -> bool:
    """Whether a text is a number as the OpenAPI document has it, zeros before it or not."""
    return text.isascii() and text.isdigit() and len(text.lstrip("0")) <= _MAX_EVENT_DIGITS


async def _found(request: Request, response_id: str) -> StoredResponse:
    """Raises NotFound, also where it is another owner's."""
    found = await _keeper(request).store.response(owner_of(request), response_id)
    if found is None:
        raise response_not_found(response_id)
    return found


def _keeper(request: Request) -> Keeper:
    """Raises NotFound where nothing is stored."""
    background = background_of(request)
    if background is None:
        raise NotFound(f"There are no stored responses: {SWITCHED_OFF}")
    return background.keeper


def _shown(payload: str) -> Response:
    return Response(payload, media_type="application/json")
