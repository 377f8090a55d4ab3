"""`/v1/batches`: batches are made, looked at and cancelled."""

from fastapi import APIRouter, Request, Response

from phiserve.api.answering import read_wire
from phiserve.api.authorization import key_id_of, owner_of, tenant_of
from phiserve.api.batches.answering import AskedBy
from phiserve.api.batches.states import shown
from phiserve.api.batches.tending import Batches, batches_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, responses
from phiserve.api.paging import DEFAULT, MOST, Schema, page_query
from phiserve.api.services import services_of
from phiserve.errors import (
    InvalidRequest,
    NotFound,
    RequestError,
    RequestTooLarge,
    StoreFailure,
    UnsupportedCoding,
    shortened,
)
from phiserve.protocol.batches.batch import BatchList, BatchObject, NewBatch
from phiserve.store.batches import StoredBatch

router = APIRouter(tags=["batches"], default_response_class=Response)

_PATH = "/v1/batches/{batch_id}"
_ERRORS: tuple[type[RequestError], ...] = (InvalidRequest, NotFound, StoreFailure)
_LIST_PARAMETERS: dict[str, Schema] = {
    "after": {"type": "string"},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT},
}


@router.post(
    "/v1/batches",
    summary="Answer a file of requests",
    openapi_extra=body_of(NewBatch),
    responses=responses(BatchObject, *_ERRORS, RequestTooLarge, UnsupportedCoding),
)
async def create_batch(request: Request) -> Response:
    """They are validated, then answered while nobody waits for others, into a file."""
    batches = _batches(request)
    new = await read_wire(request, services_of(request), NewBatch)
    asked_by = AskedBy(owner_of(request), key_id_of(request), tenant_of(request))
    batch = await batches.create(new, asked_by)
    if batch is None:
        reason = "there is no such file of the purpose 'batch'"
        raise InvalidRequest(reason, param="input_file_id", code="file_not_found")
    return json_response(shown(batch))


@router.get(
    "/v1/batches",
    summary="An owner's batches",
    openapi_extra={
        "parameters": [
            {"name": name, "in": "query", "schema": schema} for name, schema in _LIST_PARAMETERS.items()
        ]
    },
    responses=responses(BatchList, *_ERRORS),
)
async def list_batches(request: Request) -> Response:
    """A page of them, the newest first."""
    query = page_query(request, known=tuple(_LIST_PARAMETERS))
    page = await _batches(request).parts.records.page(owner_of(request), query.after, query.limit)
    if page is None:
        raise InvalidRequest("there is no such batch", param="after")
    return json_response(BatchList.of([*map(shown, page.batches)], has_more=page.has_more))


@router.get(_PATH, summary="A batch", responses=responses(BatchObject, *_ERRORS))
async def retrieve_batch(request: Request, batch_id: str) -> Response:
    """How far it is, and the files that came of it."""
    batch = await _batches(request).parts.records.batch(owner_of(request), batch_id)
    return json_response(shown(_found(batch, batch_id)))


@router.post(f"{_PATH}/cancel", summary="Cancel a batch", responses=responses(BatchObject, *_ERRORS))
async def cancel_batch(request: Request, batch_id: str) -> Response:
    """What is answered by now is given out; the rest is not answered."""
    batch = await _batches(request).cancel(owner_of(request), batch_id)
    return json_response(shown(_found(batch, batch_id)))


def _batches(request: Request) -> Batches:
    """Raises NotFound where there are none."""
    batches = batches_of(request)
    if batches is None:
        raise NotFound("There are no batches: this server keeps no files (files_url or state_url is off)")
    return batches


def _found(batch: StoredBatch | None, batch_id: str) -> StoredBatch:
    """Raises NotFound, also where it is another owner's."""
    if batch is None:
        raise NotFound(f"No batch found with id '{shortened(batch_id)}'.")
    return batch
