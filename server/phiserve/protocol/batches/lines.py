"""Lines of a batch's files: requests of its input as read, answers of its output as written."""

import math
import uuid
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import msgspec
from blake3 import blake3
from msgspec import Raw, Struct

from phiserve.errors import shortened
from phiserve.protocol.events import encode_json
from phiserve.protocol.raw_body import MAX_LISTED_VALUES, MAX_VALUES, holds_too_many_values

BatchUrl = Literal["/v1/chat/completions", "/v1/responses", "/v1/decisions", "/v1/completions"]
"""Routes whose requests a batch may be made of."""

URLS: tuple[BatchUrl, ...] = get_args(BatchUrl)

MAX_ID_CHARACTERS = 512
"""Of a line's `custom_id`."""

_FIELDS = ("custom_id", "method", "url", "body")
_PROMPTS = ("instructions", "messages", "input", "prompt")
_FILES = ("url", "image_url", "file_url", "file_id", "file_data")
"""Fields that say what is shown, whatever their values look like."""

_DIGEST_CHARACTERS = 16

_NOTHING = "0" * _DIGEST_CHARACTERS

_BEGINNINGS = (8, 500_000, 1.25)
"""Characters of the first beginning of a prompt that counts, and of the last; how many times the next has."""

_BEGINNING_CHARACTERS = 4
"""Of a beginning's digest. Two that are equal by chance only bring together what shares less."""

_BASE_32 = "0123456789abcdefghijklmnopqrstuv"
"""Digits in whose order every database puts them, whatever it makes of capitals."""


class BatchError(Struct, frozen=True):
    """What is wrong with a batch, or with the line of this number, counted from 1, of its input."""

    code: str | None
    message: str
    param: str | None = None
    line: int | None = None


class LineRefused(Exception):
    """A line is no request that a batch may have."""

    def __init__(self, error: BatchError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line of a batch's input.

    `body`: the request's JSON, as it came. `model`: the one that it names. `group`: ASCII, by whose order
    lines stand together whose prompts share images or their beginning.
    """

    number: int
    custom_id: str
    url: BatchUrl
    body: bytes
    model: str | None
    group: str


def read_line(text: bytes, number: int) -> BatchLine:
    """Read the line of this number; what its body says is not looked at (see `bodies.check_line`).

    Raises LineRefused.
    """
    fields = _fields(text.removeprefix(BOM_UTF8), number)
    custom_id = _text(fields, "custom_id", number)
    if not 0 < len(custom_id) <= MAX_ID_CHARACTERS or "\0" in custom_id:  # which databases do not take
        reason = f"must have 1 to {MAX_ID_CHARACTERS} characters, none of them NUL"
        raise _refused("invalid_value", reason, "custom_id", number)
    if _text(fields, "method", number) != "POST":
        raise _refused("invalid_method", "must be 'POST'", "method", number)
    given = _text(fields, "url", number)
    url = next((url for url in URLS if url == given), None)
    if url is None:
        raise _refused("invalid_url", f"must be one of {', '.join(URLS)}", "url", number)
    if "body" not in fields:
        raise _refused("missing_required_parameter", "this field is required", "body", number)
    body = bytes(fields["body"])
    most = MAX_LISTED_VALUES if url == "/v1/completions" else MAX_VALUES
    if holds_too_many_values(body, most):
        raise _refused("invalid_value", f"holds more than {most} JSON values", "body", number)
    document = _decoded(body, number)
    if not isinstance(document, dict):
        raise _refused("invalid_type", "must be an object", "body", number)
    model = document.get("model")
    named = model if isinstance(model, str) else None
    return BatchLine(number, custom_id, url, body, named, group_of(document))


def body_of(text: bytes) -> bytes:
    """The body of a line that has been read before."""
    return bytes(msgspec.json.decode(text.removeprefix(BOM_UTF8), type=dict[str, Raw])["body"])


def group_of(body: dict[str, object]) -> str:
    """What a request may share with others, the most expensive first.

    Its first image or file, then the others, then ever longer beginnings of its prompt's text: in the order
    of these digests, lines that share a long beginning stand together among those that share a shorter one.
    """
    files: list[str] = []
    texts: list[str] = []
    for is_file, value in (found for name in _PROMPTS for found in _strings(name, body.get(name))):
        if is_file:
            files.append(_digest(value))
        else:
            texts.append(value)
    first = files[0] if files else _NOTHING
    others = _digest("".join(files[1:])) if len(files) > 1 else _NOTHING
    return first + others + _beginnings("\0".join(texts))


class LineResponse(Struct, frozen=True):
    """What the route answered a request with."""

    status_code: int
    request_id: str
    body: Raw


class LineFailure(Struct, frozen=True):
    """Why a request was not answered at all."""

    code: str
    message: str


class OutputLine(Struct, frozen=True):
    """A line of a batch's output, or of its file of errors."""

    id: str
    custom_id: str
    response: LineResponse | None
    error: LineFailure | None


def new_line_id() -> str:
    """The id of a line of an output."""
    return f"batch_req_{uuid.uuid4().hex}"


def answered_line(line_id: str, custom_id: str, response: LineResponse) -> bytes:
    """The line of a request that its route answered, in whatever way."""
    return encode_json(OutputLine(line_id, custom_id, response, None)) + b"\n"


def failed_line(line_id: str, custom_id: str, failure: LineFailure) -> bytes:
    """The line of a request that was not answered."""
    return encode_json(OutputLine(line_id, custom_id, None, failure)) + b"\n"


def _fields(text: bytes, number: int) -> dict[str, Raw]:
    try:
        fields = msgspec.json.decode(text, type=dict[str, Raw])
    except msgspec.ValidationError:
        raise _refused("invalid_type", "The line must be a JSON object", None, number) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _not_json(number) from None
    unknown = next((name for name in fields if name not in _FIELDS), None)
    if unknown is not None:
        raise _refused("unknown_parameter", "there is no such field", shortened(unknown), number)
    return fields


def _text(fields: dict[str, Raw], name: str, number: int) -> str:
    if name not in fields:
        raise _refused("missing_required_parameter", "this field is required", name, number)
    value = _decoded(bytes(fields[name]), number)
    if not isinstance(value, str):
        raise _refused("invalid_type", "must be a string", name, number)
    return value


def _decoded(raw: bytes, number: int) -> object:
    """A value of a line, whose texts have not been looked into before."""
    try:
        value: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise _not_json(number) from None
    return value


def _not_json(number: int) -> LineRefused:
    return _refused("invalid_json_line", "The line is not valid JSON", None, number)


def _strings(name: str, value: object) -> Iterator[tuple[bool, str]]:
    """All texts within a value, in their order, and whether each says what is shown, not what is said."""
    if isinstance(value, str):
        yield name in _FILES, value
    elif isinstance(value, list):
        if value and isinstance(value[0], int):
            yield False, ",".join(map(str, value))  # a prompt's tokens
        else:
            for item in value:
                yield from _strings(name, item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in ("type", "role", "detail"):
                yield from _strings(key, item)


def _beginnings(text: str) -> str:
    """Digests of beginnings of a text, the shortest first, none longer than the text."""
    hasher, digests, start = blake3(), list[str](), 0
    length, longest, growth = _BEGINNINGS
    while length <= min(len(text), longest):
        hasher.update(text[start:length].encode("utf-8", "surrogatepass"))
        number = int.from_bytes(hasher.digest(_BEGINNING_CHARACTERS), "little")
        digests += (_BASE_32[number >> 5 * place & 31] for place in range(_BEGINNING_CHARACTERS))
        start, length = length, math.ceil(length * growth)
    return "".join(digests)


def _digest(text: str) -> str:
    return blake3(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARACTERS]


def _refused(code: str, reason: str, param: str | None, number: int) -> LineRefused:
    message = reason if param is None else f"{param}: {reason}"
    return LineRefused(BatchError(code, message, param, number))
