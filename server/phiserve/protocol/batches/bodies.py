"""Requests of a batch: as their routes take them, but for what makes no sense where nobody waits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from phiserve.errors import InvalidRequest
from phiserve.protocol.batches.lines import BatchError, BatchLine, BatchUrl, LineRefused
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.completions import CompletionRequest
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.input_parts import GivenFile, GivenImage
from phiserve.protocol.messages import FileContent, ImageFile
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import ResponsesRequest

BatchRequest = ChatCompletionRequest | ResponsesRequest | DecisionsRequest | CompletionRequest

WIRES: Mapping[BatchUrl, type[BatchRequest]] = {
    "/v1/chat/completions": ChatCompletionRequest,
    "/v1/responses": ResponsesRequest,
    "/v1/decisions": DecisionsRequest,
    "/v1/completions": CompletionRequest,
}

REFUSED = {
    "stream": "nobody reads a stream of a batch",
    "background": "all of a batch is answered in the background",
    "store": "responses of a batch are in its output, and not stored",
    "conversation": "responses of a batch are not stored, nor added to a conversation",
}
"""Fields that a request of a batch may not set, and why."""


def read_request(url: BatchUrl, body: bytes) -> BatchRequest:
    """Validate the body of a request to `url`. Raises InvalidRequest."""
    request = parse_request(body, WIRES[url])
    for name, reason in REFUSED.items():
        is_refused = name != "store" or url == "/v1/responses"  # of a chat it has no effect
        if is_refused and getattr(request, name, None):
            raise InvalidRequest(reason, param=name, code="unsupported_parameter")
    return request


@dataclass(frozen=True, slots=True)
class NamedId:
    """The id of an uploaded file that a line shows, and where in the line it stands."""

    file_id: str
    param: str


def check_line(line: BatchLine) -> Sequence[NamedId]:
    """Validate the body of a line, which takes long where there is much of it. The files that it names.

    Raises LineRefused.
    """
    try:
        request = read_request(line.url, line.body)
    except InvalidRequest as error:
        param = "body" if error.param is None else f"body.{error.param}"
        message = f"{param}: {error.reason}"
        raise LineRefused(BatchError(error.code, message, param, line.number)) from None
    return [*_named(request, "body")] if b'"file_id"' in line.body else []


def _named(value: object, path: str) -> Iterator[NamedId]:
    """Ids of files within a value, wherever its routes look for them, each with its path."""
    if isinstance(value, GivenImage | GivenFile | ImageFile | FileContent):
        if value.file_id is not None:
            yield NamedId(value.file_id, f"{path}.file_id")
    elif isinstance(value, BaseModel):
        for name, field in value:
            yield from _named(field, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _named(item, f"{path}[{index}]")
