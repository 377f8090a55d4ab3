"""`/v1/responses/{id}`: responses that are stored."""

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from phiserve.api.authorization import owner_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import responses
from phiserve.api.paging import PAGE_PARAMETERS, page_query
from phiserve.api.responses.background import background_of
from phiserve.api.responses.gathering import SWITCHED_OFF, response_not_found
from phiserve.api.responses.keeping import Keeper, ended_response
from phiserve.errors import InvalidRequest, NotFound, StoreFailure
from phiserve.protocol.responses.conversations import ItemList
from phiserve.protocol.responses.response import ResponseDeleted, ResponseObject
from phiserve.store.interface import UNFINISHED, StoredResponse

router = APIRouter(tags=["responses"], default_response_class=Response)

_ERRORS = (InvalidRequest, NotFound, StoreFailure)


@router.get(
    "/v1/responses/{response_id}",
    summary="A stored response",
    responses=responses(ResponseObject, *_ERRORS),
)
async def retrieve_response(request: Request, response_id: str) -> Response:
    """As it stands. What `include` may name is always there."""
    if request.query_params.get("stream", "false") != "false":
        reason = "a stored response is not streamed: ask for it until it has ended"
        raise InvalidRequest(reason, param="stream", code="unsupported_parameter")
    return _shown((await _found(request, response_id)).payload)


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
    responses=responses(ItemList, *_ERRORS),
)
async def list_input_items(request: Request, response_id: str) -> Response:
    """A page of the items before its answer, those of earlier responses among them."""
    query = page_query(request)
    page = await _keeper(request).store.input_items(
        owner_of(request), response_id, query.after, query.limit, query.order
    )
    if page is None:
        raise response_not_found(response_id)
    return json_response(
        ItemList.of([(item.id, item.payload) for item in page.items], has_more=page.has_more)
    )


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
