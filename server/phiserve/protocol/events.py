"""How answers and errors are written: JSON, and server-sent events as OpenAI sends them."""

import msgspec
from msgspec import Struct

from phiserve.errors import RequestError

DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""

KEEPALIVE = b": keep-alive\n\n"
"""A comment, which clients pass over."""

_encode = msgspec.json.Encoder().encode
_LINE_ENDS = {"\x85": b"\\u0085", "\u2028": b"\\u2028", "\u2029": b"\\u2029"}
"""Characters at which Python's `splitlines` ends a line, as far as JSON does not escape them anyway."""
_MARKS = b"\xc2\x85", b"\xe2\x80"
"""Bytes of which all of these have some."""


def encode_json(value: object) -> bytes:
    """Struct -> JSON bytes, on one line for whoever reads them.

    Clients that read events by httpx's `iter_lines` would find an event broken in two (findings/).
    """
    encoded = _encode(value)
    if _MARKS[0] in encoded or _MARKS[1] in encoded:
        for character, escape in _LINE_ENDS.items():
            encoded = encoded.replace(character.encode(), escape)
    return encoded


class ErrorBody(Struct, frozen=True):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(Struct, frozen=True):
    """OpenAI's envelope around it."""

    error: ErrorBody


def event(payload: object) -> bytes:
    """One server-sent event."""
    return b"data: " + encode_json(payload) + b"\n\n"


def error_response(error: RequestError) -> ErrorResponse:
    """OpenAI's envelope."""
    return ErrorResponse(ErrorBody(error.message, error.type, error.param, error.code))
