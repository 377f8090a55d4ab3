"""`/v1/files`: files that clients upload, to be named in later requests."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from msgspec import UNSET
from starlette.responses import StreamingResponse

from phiserve.api.authorization import owner_of
from phiserve.api.body_budget import BodyShare
from phiserve.api.form import Form, FormPart, read_form
from phiserve.api.header import header_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import form_of, responses
from phiserve.api.paging import Schema, page_query
from phiserve.api.services import services_of
from phiserve.errors import (
    InvalidRequest,
    NotFound,
    Overloaded,
    RequestError,
    RequestTooLarge,
    StoreFailure,
    UnsupportedCoding,
    shortened,
)
from phiserve.files.blobs import BlobGone
from phiserve.files.draft import BlobDraft, too_large
from phiserve.files.keeping import FileKeeper, NewFile
from phiserve.files.limits import BESIDE_BYTES
from phiserve.protocol.events import encode_json
from phiserve.protocol.files import (
    MAX_NAME_CHARACTERS,
    FileDeleted,
    FileList,
    FileObject,
    NamedFile,
    NewFileFields,
)
from phiserve.protocol.parsing import parse_request
from phiserve.store.files import StoredFile

router = APIRouter(tags=["files"], default_response_class=Response)

MOST_FILES = 10_000
"""Files of a page, which is also how many there are where nothing is said."""

_PATH = "/v1/files/{file_id}"
_ERRORS: tuple[type[RequestError], ...] = (InvalidRequest, NotFound, StoreFailure)
RECEIVING_ERRORS = (*_ERRORS, RequestTooLarge, UnsupportedCoding, Overloaded)
"""In which a route can end that receives a file."""

_LIST_PARAMETERS: dict[str, Schema] = {
    "after": {"type": "string"},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST_FILES, "default": MOST_FILES},
    "order": {"enum": ["asc", "desc"], "default": "desc"},
    "purpose": {"type": "string"},
}


@router.post(
    "/v1/files",
    summary="Upload a file",
    openapi_extra=form_of(NewFileFields, "file"),
    responses=responses(FileObject, *RECEIVING_ERRORS),
)
async def create_file(request: Request) -> Response:
    """It can be named, by its id, where chats and Responses show images."""
    keeper, owner = keeper_of(request), owner_of(request)
    announced = announced_bytes(request, keeper.limits.max_bytes)
    async with keeper.receiving(owner, keeper.limits.max_bytes, announced_bytes=announced) as draft:
        new = _new_file(await receive(request, draft, "file", keeper.limits.max_bytes, _check_begun))
        file = await keeper.keep(owner, new, await draft.end())
    return json_response(shown_file(file))


@router.get(
    "/v1/files",
    summary="An owner's files",
    openapi_extra={
        "parameters": [
            {"name": name, "in": "query", "schema": schema} for name, schema in _LIST_PARAMETERS.items()
        ]
    },
    responses=responses(FileList, *_ERRORS),
)
async def list_files(request: Request) -> Response:
    """A page of them, the newest first where nothing else is said."""
    query = page_query(request, most=MOST_FILES, default=MOST_FILES, known=tuple(_LIST_PARAMETERS))
    purpose = request.query_params.get("purpose")
    records = keeper_of(request).records
    page = await records.page(owner_of(request), purpose, query.after, query.limit, query.order)
    if page is None:
        raise InvalidRequest("there is no such file", param="after", code="file_not_found")
    return json_response(FileList.of([*map(shown_file, page.files)], has_more=page.has_more))


@router.get(_PATH, summary="A file", responses=responses(FileObject, *_ERRORS))
async def retrieve_file(request: Request, file_id: str) -> Response:
    """What is known of it."""
    return json_response(shown_file(await _found(request, file_id)))


@router.delete(_PATH, summary="Delete a file", responses=responses(FileDeleted, *_ERRORS))
async def delete_file(request: Request, file_id: str) -> Response:
    """It is gone, and requests that name it are refused from now on."""
    if not await keeper_of(request).delete(owner_of(request), file_id):
        raise file_not_found(file_id)
    return json_response(FileDeleted(file_id))


@router.get(f"{_PATH}/content", summary="A file's content", responses=responses(None, *_ERRORS))
async def file_content(request: Request, file_id: str) -> Response:
    """As it was uploaded; a browser saves it, whatever it is."""
    file = await _found(request, file_id)
    content = keeper_of(request).read(file)
    try:
        first = await anext(content, b"")
    except BlobGone:
        raise file_not_found(file_id) from None
    headers = {
        "content-length": str(file.num_bytes),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(_whole(first, content), media_type="application/octet-stream", headers=headers)


def announced_bytes(request: Request, max_bytes: int, limit: str = "files_max_bytes") -> int:
    """The length of a body that brings a file, 0 where it was not said. Raises RequestTooLarge."""
    announced = header_of(request.scope, b"content-length") or ""
    num_bytes = int(announced) if announced.isdigit() else 0
    if num_bytes > max_bytes + BESIDE_BYTES:
        raise too_large(max_bytes, limit)
    return num_bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A form whose file has gone into a draft: what was said beside it."""

    fields: Mapping[str, str]
    file: FormPart


async def receive(
    request: Request,
    draft: BlobDraft,
    file_field: str,
    max_bytes: int,
    check_begun: Callable[[Received], None] = lambda begun: None,
) -> Received:
    """Read a form, its file into a draft. What is in memory counts for the budget of bodies.

    `check_begun` is called when the file begins, with the fields that came before it, and may raise. Raises
    RequestTooLarge, InvalidRequest, UnsupportedCoding, Overloaded, StoreFailure and ClientGone.
    """
    form, share = Form({}), BodyShare(request.app.state.body_budget)
    try:
        async with aclosing(read_form(request, form, file_field, max_bytes)) as pieces:
            async for piece in pieces:
                if isinstance(piece, FormPart):
                    check_begun(Received(form.fields, piece))
                else:
                    share.hold(draft.num_held + len(piece))
                    await draft.add(piece)
    finally:
        share.release()
    if form.file is None:
        raise InvalidRequest("a file is expected", param=file_field, code="missing_required_parameter")
    return Received(form.fields, form.file)


def keeper_of(request: Request) -> FileKeeper:
    """What keeps files. Raises NotFound where nothing does."""
    files = services_of(request).files
    if files is None:
        raise NotFound("There are no files: this server keeps none (files_url or state_url is off)")
    return files


def shown_file(file: StoredFile) -> FileObject:
    """A file on the wire."""
    expires_at = UNSET if file.expires_at is None else file.expires_at
    return FileObject(file.id, file.num_bytes, file.created_at, file.filename, file.purpose, expires_at)


def file_not_found(file_id: str) -> NotFound:
    """In OpenAI's words."""
    return NotFound(f"No such File object: {shortened(file_id)}", code="file_not_found")


async def _found(request: Request, file_id: str) -> StoredFile:
    """Raises NotFound, also where it has expired or is another owner's."""
    found = await keeper_of(request).records.file(owner_of(request), file_id)
    if found is None:
        raise file_not_found(file_id)
    return found


def _check_begun(begun: Received) -> None:
    """What can be said before a file has come. Raises InvalidRequest.

    Not of fields that other fields may follow, nor where `purpose` is one of these.
    """
    fields = {name: value for name, value in begun.fields.items() if not name.startswith("expires_after[")}
    if "purpose" in fields:
        _new_file(Received(fields, begun.file))


def _new_file(received: Received) -> NewFile:
    """Raises InvalidRequest for fields that are wrong."""
    given: dict[str, object] = {**received.fields}
    expires_after = {
        name: given.pop(f"expires_after[{name}]")
        for name in ("anchor", "seconds")
        if f"expires_after[{name}]" in given
    }
    if expires_after:
        given["expires_after"] = expires_after
    if "filename" in given:
        raise InvalidRequest("the file's own name is taken", param="filename", code="unknown_parameter")
    given["filename"] = received.file.filename
    fields = parse_request(encode_json(given), NamedFile)
    seconds = None if fields.expires_after is None else fields.expires_after.seconds
    return NewFile(fields.purpose, fields.filename, _media_type(received.file.content_type), seconds)


def _media_type(given: str) -> str:
    """What a client called a content, if it is a text that a header can have; else nothing."""
    is_plain = given.isascii() and given.isprintable() and len(given) <= MAX_NAME_CHARACTERS
    return given if is_plain else ""


async def _whole(first: bytes, others: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """A content whose first part has been read: what fails before it is answered with a status of its own."""
    async with aclosing(others):
        yield first
        async for part in others:
            yield part
