"""`/v1/files` and `/v1/uploads` on the wire: what makes files, and what they look like."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Struct, UnsetType
from pydantic import AfterValidator, BeforeValidator, Field, JsonValue
from pydantic_core import PydanticCustomError

from phiserve.protocol.wire_model import RequestPart, WireModel, bounded
from phiserve.store.limits import MAX_PARTS

Purpose = Literal["vision", "user_data", "batch"]
"""What a client may say that a file is for. Files of the purpose `batch_output` are made by the server."""

MAX_NAME_CHARACTERS = 255


_UNNAMEABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters, and halves of characters."""


def _without_controls(name: str) -> str:
    """Raises PydanticCustomError for characters that no name has, and databases do not take."""
    if _UNNAMEABLE.search(name):
        raise PydanticCustomError("file_name", "must not have control characters")
    return name


def _whole_number(given: object) -> object:
    """Fields of a form are texts."""
    is_number = isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 10
    return int(given) if is_number and isinstance(given, str) else given


_AS_SCHEMA: dict[str, JsonValue] = {"pattern": "^[^\\u0000-\\u001f\\u007f]*$"}
"""What `_without_controls` lets through, for the OpenAPI document."""

FileName = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME_CHARACTERS, json_schema_extra=_AS_SCHEMA),
    AfterValidator(_without_controls),
]


class ExpiresAfter(RequestPart):
    """For how long a file is kept, from an hour to thirty days after it was made, as OpenAI has it."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000), BeforeValidator(_whole_number)]


class NewFileFields(WireModel):
    """The fields of `POST /v1/files` beside `file` itself."""

    purpose: Purpose
    expires_after: ExpiresAfter | None = None


class NamedFile(NewFileFields):
    """The same, with the name that the file itself came under."""

    filename: FileName


class NewUpload(RequestPart):
    """The body of `POST /v1/uploads`."""

    filename: FileName
    purpose: Purpose
    bytes: Annotated[int, Field(ge=0)]
    mime_type: Annotated[
        str,
        Field(max_length=MAX_NAME_CHARACTERS, json_schema_extra=_AS_SCHEMA),
        AfterValidator(_without_controls),
    ]
    expires_after: ExpiresAfter | None = None


class CompletedUpload(RequestPart):
    """The body of `POST /v1/uploads/{id}/complete`."""

    part_ids: Annotated[tuple[str, ...], bounded(MAX_PARTS)]
    md5: str | None = None


class FileObject(Struct, frozen=True):
    """A file. `expires_at` is left out where it never does."""

    id: str
    bytes: int
    created_at: int
    filename: str
    purpose: str
    expires_at: int | UnsetType = UNSET
    object: Literal["file"] = "file"
    status: Literal["processed"] = "processed"


class FileList(Struct, frozen=True):
    """A page of files. The ids of the first and the last are empty where there is none."""

    data: list[FileObject]
    first_id: str
    last_id: str
    has_more: bool
    object: Literal["list"] = "list"

    @classmethod
    def of(cls, files: Sequence[FileObject], *, has_more: bool) -> "FileList":
        """Of files in the order asked for."""
        first, last = (files[0].id, files[-1].id) if files else ("", "")
        return cls([*files], first, last, has_more)


class FileDeleted(Struct, frozen=True):
    """A file that is no longer kept."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class UploadObject(Struct, frozen=True):
    """A file that comes in parts; `file` is what became of it."""

    id: str
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None = None
    object: Literal["upload"] = "upload"


class UploadPartObject(Struct, frozen=True):
    """A part of an upload."""

    id: str
    created_at: int
    upload_id: str
    object: Literal["upload.part"] = "upload.part"
