"""`x-request-id` on every response: the client's own if it sent a sane one, else a new one."""

import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phiserve.api.request_log import REQUEST_ID
from phiserve.api.streaming import PLAIN_SEND

_SANE = re.compile(r"[\w.:-]{1,128}", re.ASCII)


class RequestIdMiddleware:
    """Plain ASGI middleware, the outermost of ours.

    It notes the `send` that streams use (`api.streaming`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header when the response starts."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[PLAIN_SEND] = send
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SANE.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        scope[REQUEST_ID] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)
