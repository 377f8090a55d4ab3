"""Payloads and errors as HTTP responses."""

from fastapi import Response
from starlette.types import Receive, Scope, Send

from phiserve.api.request_log import record_of
from phiserve.errors import RequestError
from phiserve.protocol.events import encode_json, error_response


def json_response(payload: object) -> Response:
    """200 with a struct as JSON."""
    return Response(encode_json(payload), media_type="application/json")


class ErrorResponse(Response):
    """The error in OpenAI's envelope, with its status and headers."""

    media_type = "application/json"

    def __init__(self, error: RequestError) -> None:
        super().__init__(encode_json(error_response(error)), error.status, error.headers)
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and note in the request's record how the request ended."""
        record_of(scope).end(self._error)
        await super().__call__(scope, receive, send)


def error_to_response(error: RequestError) -> Response:
    """The error as a response."""
    return ErrorResponse(error)
