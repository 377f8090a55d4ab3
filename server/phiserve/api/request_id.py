"""`x-request-id` on every response: the client's own if it sent a sane one, else a new one."""

import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phiserve.api.header import header_of
from phiserve.api.request_log import REQUEST_ID
from phiserve.api.streaming import PLAIN_SEND

_SANE = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class RequestIdMiddleware:
    """Plain ASGI middleware, the outermost of ours.

    It notes the `send` that streams use (`api.streaming`) where the connection has not.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header when the response starts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault(PLAIN_SEND, send)
        request_id = request_id_of(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def request_id_of(scope: Scope) -> str:
    """The id of a request, which gets one if it has none yet."""
    if REQUEST_ID not in scope:
        given = header_of(scope, b"x-request-id") or ""
        scope[REQUEST_ID] = given if _SANE.fullmatch(given) else new_request_id()
    request_id: str = scope[REQUEST_ID]
    return request_id


def new_request_id() -> str:
    """An id that no other request has."""
    return f"req_{uuid.uuid4().hex}"
