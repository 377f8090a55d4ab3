"""Bytes -> request, with errors that name the path as a client would write it: `messages[2].content[1]`."""

import asyncio
from codecs import BOM_UTF8
from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from phiserve.errors import InvalidRequest, shortened
from phiserve.protocol.raw_body import MAX_LISTED_VALUES, MAX_VALUES, decodes_quickly, holds_too_many_values
from phiserve.protocol.wire_model import WireModel
from phiserve.protocol.wording import words_of

_Wire = TypeVar("_Wire", bound=WireModel)

CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "json_invalid": "invalid_json",
    "unsupported": "unsupported_parameter",
    "unsupported_schema": "unsupported_schema",
}
"""By pydantic's kind of error; what is not among them is of the wrong type or otherwise wrong."""

INVALID_TYPE, INVALID_VALUE = "invalid_type", "invalid_value"

MAX_FIELDS = 100
"""Fields of one object, but for those whose names the client chooses."""

_NAMED_BY_CLIENT = ("metadata", "logit_bias", "schema", "json", "parameters")
_CONSTRAINTS = ("response_format", "structured_outputs", "text", "tools", "functions")
"""On the answer's form: they may take a tenth of a second to check."""

_UNIONS = (
    "content",
    "response_format",
    "input",
    "output",
    "instructions",
    "format",
    "tool_choice",
    "function_call",
)
"""Fields whose values are of one class or another."""


class Uncoded(InvalidRequest):
    """What OpenAI has no code for, where its clients look for none."""

    default_code = None


def parse_request(body: bytes, wire: type[_Wire]) -> _Wire:
    """Parse and validate a request. Raises InvalidRequest with the path of the first wrong value."""
    body = body.removeprefix(BOM_UTF8)
    return _validate(_decode(body, wire), body, wire)


async def parse_off_loop(body: bytes, wire: type[_Wire]) -> _Wire:
    """As `parse_request`; on a thread where that takes longer than a thread takes to wake up."""
    body = body.removeprefix(BOM_UTF8)
    if not decodes_quickly(body):
        return await asyncio.to_thread(parse_request, body, wire)
    document = _decode(body, wire)
    if isinstance(document, dict) and any(document.get(name) for name in _CONSTRAINTS):
        return await asyncio.to_thread(_validate, document, body, wire)
    return _validate(document, body, wire)


def _decode(body: bytes, wire: type[WireModel]) -> object:
    """Raises InvalidRequest for too many values, which would take long to decode and much memory."""
    holds_many = holds_too_many_values(body)
    if holds_many and (not wire.long_field or holds_too_many_values(body, MAX_LISTED_VALUES)):
        most = MAX_LISTED_VALUES if wire.long_field else MAX_VALUES
        raise InvalidRequest(f"The body holds more than {most} JSON values", code=INVALID_VALUE)
    try:
        document: object = from_json(body)
    except ValueError:  # what is wrong is said by `_validate`
        return None
    if holds_many and isinstance(document, dict):
        rest = {name: value for name, value in document.items() if name != wire.long_field}
        if holds_too_many_values(to_json(rest)):
            reason = f"The body holds more than {MAX_VALUES} JSON values beside {wire.long_field}"
            raise InvalidRequest(reason, code=INVALID_VALUE)
    return document


def _validate(document: object, body: bytes, wire: type[_Wire]) -> _Wire:
    """Validate decoded JSON.

    While it reads JSON itself, pydantic copies a long string for each union that it looks through. On
    failure, revalidate from JSON: errors are then worded for JSON, not for Python's lists and dicts.
    """
    try:
        return wire.model_validate(document)
    except ValidationError as error:
        if error.error_count() > MAX_FIELDS:
            _check_fields(document)
    try:
        return wire.model_validate_json(body)
    except ValidationError as error:
        needs_input = bool(wire.error_paths)
        raise _invalid_request(error.errors(include_url=False, include_input=needs_input)[0], wire) from None


def _check_fields(document: object) -> None:
    """Refuse objects of very many fields, of which each would be an error with a text of its own.

    Lists and objects of the client's own names end at their first error (`FailFast`). Raises InvalidRequest.
    """
    objects: list[tuple[str, object]] = [("", document)]
    for path, value in objects:
        if isinstance(value, list):
            objects += [(f"{path}[{index}]", child) for index, child in enumerate(value)]
        elif isinstance(value, dict):
            if len(value) > MAX_FIELDS:
                reason = f"has {len(value)} fields; no object of a request has more than {MAX_FIELDS}"
                if not path:
                    raise InvalidRequest(f"The body {reason}", code=INVALID_VALUE)
                raise InvalidRequest(reason, param=shortened(path), code=INVALID_VALUE)
            objects += [
                (f"{path}.{name}" if path else name, child)
                for name, child in value.items()
                if name not in _NAMED_BY_CLIENT
            ]


def _invalid_request(detail: ErrorDetails, wire: type[WireModel]) -> InvalidRequest:
    kind = detail["type"]
    if kind == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON: {_reason(detail)}", code=CODES[kind])
    context: dict[str, str] = detail.get("ctx", {})
    field, location = context.get("field"), detail["loc"]
    if not (field or location):
        return InvalidRequest("The body must be a JSON object", code=INVALID_TYPE)
    path = path_of(location, ends_in_name=kind == "extra_forbidden") + context.get("path", "")
    choosing = wire.error_paths.get(kind, "")
    if choosing and not isinstance(detail["input"], dict):
        return InvalidRequest("must be an object", param=shortened(path), code=INVALID_TYPE)
    param = shortened(field or path + choosing)
    if choosing and choosing[1:] not in detail["input"]:
        return InvalidRequest("this field is required", param=param, code=CODES["missing"])
    if choosing and not isinstance(detail["input"][choosing[1:]], str):
        return InvalidRequest("must be a string", param=param, code=INVALID_TYPE)
    is_empty = kind == "too_short" and not context.get("actual_length")
    if (code := wire.error_codes.get("empty" if is_empty else kind)) is not None:
        return (InvalidRequest if code else Uncoded)(words_of(detail), param=param, code=code)
    is_type = kind.endswith("_type") and kind not in ("part_type", "format_type")
    code = CODES.get(kind, INVALID_TYPE if is_type else INVALID_VALUE)
    return InvalidRequest(words_of(detail), param=param, code=code)


def _reason(detail: ErrorDetails) -> str:
    context: dict[str, str] = detail.get("ctx", {})
    return str(context.get("error", detail["msg"]))


def path_of(location: Sequence[int | str], *, ends_in_name: bool = False) -> str:
    """`("messages", 2, ":user", "content", ":parts", 1)` -> `messages[2].content[1]`.

    `ends_in_name`: the last step is a name that the client chose, whatever it looks like.
    """
    path = ""
    for index, step in enumerate(location):
        is_name = ends_in_name and index == len(location) - 1
        if isinstance(step, int):
            path += f"[{step}]"
        elif is_name or not _is_union_label(step, location[index - 1] if index else None):
            path += f".{step}" if path else step
    return path


def _is_union_label(step: str, before: int | str | None) -> bool:
    """Labels that pydantic puts into a location to say which member of a union it tried.

    All unions of the protocol have tags (`protocol.wire_model.choose_by`): messages, items, parts, and these.
    """
    return step.startswith(":") and (isinstance(before, int) or before in _UNIONS)
