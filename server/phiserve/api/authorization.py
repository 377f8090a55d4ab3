"""A static API key, where the settings have one."""

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from phiserve.api.json_response import error_to_response
from phiserve.errors import Unauthorized

OPEN_PATHS = ("/health", "/ready", "/version", "/docs", "/openapi.json")
"""What a load balancer asks, and the page on which a person enters the key; everything else needs it."""

_OPEN_FOLDER = "/static-offline-docs/"
"""Scripts of that page."""


class ApiKeyMiddleware:
    """Refuses requests without `Authorization: Bearer <key>` before their body is read.

    Keys are compared in constant time.
    """

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._digest = _digest(key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer 401."""
        if scope["type"] == "http" and not _is_open(scope["path"]) and not self._allows(Headers(scope=scope)):
            await error_to_response(Unauthorized("The API key is missing or wrong"))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _allows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return (
            hmac.compare_digest(_digest(given.encode("latin-1")), self._digest) and scheme.lower() == "bearer"
        )


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def _digest(key: bytes) -> bytes:
    """Equal lengths, so that not even the key's length shows in the time. Headers come decoded as Latin-1."""
    return hashlib.sha256(key).digest()
