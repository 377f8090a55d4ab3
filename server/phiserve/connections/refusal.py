"""Errors written straight to a socket, where there is no request yet that an application could answer."""

from http import HTTPStatus

from phiserve.connections.limits import MAX_HEAD_BYTES
from phiserve.errors import RequestError, RequestHeadTooLarge
from phiserve.protocol.events import encode_json, error_response


def refusal(error: RequestError, request_id: str) -> bytes:
    """A whole HTTP/1.1 response with OpenAI's envelope, which says that the connection closes."""
    body = encode_json(error_response(error))
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        "x-request-id": request_id,
        **error.headers,
    }
    lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def head_too_large() -> RequestHeadTooLarge:
    """What a request is told whose head is over the limit."""
    return RequestHeadTooLarge(f"The request's head is too large; the limit is {MAX_HEAD_BYTES} bytes")
