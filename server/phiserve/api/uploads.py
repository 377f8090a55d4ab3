"""`/v1/uploads`: large files, which come in parts."""

import time

from fastapi import APIRouter, Request, Response

from phiserve.api.answering import read_wire
from phiserve.api.authorization import owner_of
from phiserve.api.files import RECEIVING_ERRORS, announced_bytes, keeper_of, receive, shown_file
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, form_of, responses
from phiserve.api.services import services_of
from phiserve.errors import InvalidRequest, NotFound, shortened
from phiserve.files.keeping import NewFile
from phiserve.files.limits import MAX_PART_BYTES
from phiserve.files.uploads import Uploads
from phiserve.protocol.files import CompletedUpload, NewUpload, UploadObject, UploadPartObject
from phiserve.protocol.wire_model import WireModel
from phiserve.store.files import StoredFile
from phiserve.store.uploads import StoredUpload

router = APIRouter(tags=["uploads"], default_response_class=Response)

_PATH = "/v1/uploads/{upload_id}"

_PART_LIMIT = "of a part"
"""What `MAX_PART_BYTES` is called: no setting changes it."""


class PartFields(WireModel):
    """The fields of a part beside `data` itself: there are none."""


@router.post(
    "/v1/uploads",
    summary="Begin a large file",
    openapi_extra=body_of(NewUpload),
    responses=responses(UploadObject, *RECEIVING_ERRORS),
)
async def create_upload(request: Request) -> Response:
    """It must be completed within an hour."""
    uploads = _uploads(request)
    asked = await read_wire(request, services_of(request), NewUpload)
    seconds = None if asked.expires_after is None else asked.expires_after.seconds
    new = NewFile(asked.purpose, asked.filename, asked.mime_type, seconds)
    return json_response(_shown(await uploads.create(owner_of(request), new, asked.bytes)))


@router.post(
    f"{_PATH}/parts",
    summary="Add a part to a large file",
    openapi_extra=form_of(PartFields, "data"),
    responses=responses(UploadPartObject, *RECEIVING_ERRORS),
)
async def add_part(request: Request, upload_id: str) -> Response:
    """At most 64 MiB; parts may come in any order, and at once."""
    uploads, owner = _uploads(request), owner_of(request)
    if await uploads.find(owner, upload_id) is None:
        raise _not_found(upload_id)
    announced = announced_bytes(request, MAX_PART_BYTES, _PART_LIMIT)
    async with uploads.keeper.receiving(owner, MAX_PART_BYTES, _PART_LIMIT, announced) as draft:
        received = await receive(request, draft, "data", MAX_PART_BYTES)
        for name in received.fields:
            raise InvalidRequest("this parameter is unknown", param=shortened(name), code="unknown_parameter")
        part_id = await uploads.add_part(owner, upload_id, await draft.end())
    if part_id is None:
        raise _not_found(upload_id)
    return json_response(UploadPartObject(part_id, int(time.time()), upload_id))


@router.post(
    f"{_PATH}/complete",
    summary="Make a file of parts",
    openapi_extra=body_of(CompletedUpload),
    responses=responses(UploadObject, *RECEIVING_ERRORS),
)
async def complete_upload(request: Request, upload_id: str) -> Response:
    """In the order in which they are named; all other parts are dropped."""
    uploads = _uploads(request)
    asked = await read_wire(request, services_of(request), CompletedUpload)
    completed = await uploads.complete(owner_of(request), upload_id, asked.part_ids, asked.md5)
    if completed is None:
        raise _not_found(upload_id)
    return json_response(_shown(*completed))


@router.post(
    f"{_PATH}/cancel", summary="Give up a large file", responses=responses(UploadObject, *RECEIVING_ERRORS)
)
async def cancel_upload(request: Request, upload_id: str) -> Response:
    """Its parts are removed, and no more can be added."""
    cancelled = await _uploads(request).cancel(owner_of(request), upload_id)
    if cancelled is None:
        raise _not_found(upload_id)
    return json_response(_shown(cancelled))


def _uploads(request: Request) -> Uploads:
    """Raises NotFound where no files are kept."""
    return Uploads(keeper_of(request))


def _shown(upload: StoredUpload, file: StoredFile | None = None) -> UploadObject:
    return UploadObject(
        id=upload.id,
        bytes=upload.num_bytes,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
        filename=upload.filename,
        purpose=upload.purpose,
        status=upload.status,
        file=None if file is None else shown_file(file),
    )


def _not_found(upload_id: str) -> NotFound:
    return NotFound(f"No such Upload object: {shortened(upload_id)}")
