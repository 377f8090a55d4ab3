"""How answers and errors are written: JSON, and server-sent events as OpenAI sends them."""

import msgspec
from msgspec import Struct

from phiserve.errors import RequestError

DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""

KEEPALIVE = b": keep-alive\n\n"
"""A comment, which clients pass over."""

encode_json = msgspec.json.Encoder().encode
"""Struct -> JSON bytes."""


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
