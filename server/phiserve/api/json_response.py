"""Payloads and errors as HTTP responses."""

from fastapi import Response

from phiserve.errors import RequestError
from phiserve.protocol.events import encode_json, error_response


def json_response(payload: object) -> Response:
    """200 with a struct as JSON."""
    return Response(encode_json(payload), media_type="application/json")


def error_to_response(error: RequestError) -> Response:
    """The error in OpenAI's envelope, with its status and headers."""
    return Response(
        encode_json(error_response(error)), error.status, error.headers, media_type="application/json"
    )
