"""`/v1/batches` on the wire: what makes a batch, and what it looks like."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Struct
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from phiserve.core import TokenCounts
from phiserve.protocol.batches.lines import BatchError, BatchUrl
from phiserve.protocol.files import ExpiresAfter
from phiserve.protocol.responses.conversations import Metadata
from phiserve.protocol.responses.response import ResponseUsage
from phiserve.protocol.wire_model import RequestPart
from phiserve.store.interface import BatchStatus

MAX_WINDOW_H = 168
"""Hours within which a batch may ask to be answered: a week."""

_WINDOW_PATTERN = "^([1-9][0-9]?|1[0-5][0-9]|16[0-8])h$"
"""The same for the OpenAPI document."""


def _window(given: object) -> object:
    """Raises PydanticCustomError for what is no number of hours."""
    digits = given.removesuffix("h") if isinstance(given, str) and given.endswith("h") else ""
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAX_WINDOW_H))
    if isinstance(given, str) and not (is_number and 1 <= int(digits) <= MAX_WINDOW_H):
        reason = f"must be a number of hours from '1h' to '{MAX_WINDOW_H}h', as '24h'"
        raise PydanticCustomError("completion_window", "{text}", {"text": reason})
    return given


class NewBatch(RequestPart):
    """The body of `POST /v1/batches`."""

    input_file_id: str
    endpoint: BatchUrl
    completion_window: Annotated[
        str, BeforeValidator(_window), Field(json_schema_extra={"pattern": _WINDOW_PATTERN})
    ]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None

    @property
    def window_s(self) -> int:
        """Seconds within which it is to be answered."""
        return int(self.completion_window.removesuffix("h")) * 3600


class BatchErrors(Struct, frozen=True):
    """What is wrong with a batch's input."""

    data: list[BatchError]
    object: Literal["list"] = "list"


class BatchCounts(Struct, frozen=True):
    """How many requests a batch has, and what became of them so far."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchObject(Struct, frozen=True):
    """A batch, with OpenAI's names. Times are whole seconds since 1970, null where that has not happened."""

    id: str
    endpoint: BatchUrl
    input_file_id: str
    completion_window: str
    created_at: int
    expires_at: int
    status: BatchStatus = "validating"
    object: Literal["batch"] = "batch"
    model: str | None = None
    errors: BatchErrors | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: BatchCounts = BatchCounts()
    usage: ResponseUsage = ResponseUsage.of(TokenCounts(0, 0, 0, 0))
    metadata: dict[str, str] | None = None


class BatchList(Struct, frozen=True):
    """A page of batches. The ids of the first and the last are null where there is none."""

    data: list[BatchObject]
    first_id: str | None
    last_id: str | None
    has_more: bool
    object: Literal["list"] = "list"

    @classmethod
    def of(cls, batches: Sequence[BatchObject], *, has_more: bool) -> "BatchList":
        """Of batches in the order asked for."""
        first, last = (batches[0].id, batches[-1].id) if batches else (None, None)
        return cls([*batches], first, last, has_more)
