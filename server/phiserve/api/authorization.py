"""Who may come in: keys, where the settings have any, and what each may ask for.

All decisions go by the path that the application routes by (ASGI's `path`), which no header can change.
"""

from ipaddress import IPv6Network

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phiserve.access.gate import Gate
from phiserve.access.key import Key
from phiserve.access.visit import KeyVisit, Visit
from phiserve.api.header import header_of
from phiserve.api.json_response import error_to_response
from phiserve.api.request_log import record_of
from phiserve.errors import RateLimitReached, Unauthorized

OPEN_PATHS = ("/health", "/ready", "/version", "/docs", "/openapi.json")
"""What a load balancer asks, and the page on which a person enters the key; everything else needs it."""

COUNTED_PATHS = (
    *("/v1/chat/completions", "/tokenize"),
    *("/v1/responses", "/v1/responses/input_tokens"),
    *("/v1/completions", "/v1/decisions"),
)
"""What counts as a request of a key: what reads prompts. Lists and metrics cost nothing."""

COUNTED_WRITES = ("/v1/conversations", "/v1/files", "/v1/uploads", "/v1/batches")
"""Beginnings of the paths whose POST counts too: conversations' items, files and batches are stored."""

_STANDINGS = ("limit", "remaining", "reset")
LIMIT_HEADERS = tuple(f"x-ratelimit-{what}-{unit}" for unit in ("requests", "tokens") for what in _STANDINGS)
"""Headers of answers to keys with limits."""

_OPEN_FOLDER = "/static-offline-docs/"
"""Scripts of that page."""

_VISIT = "phiserve.visit"
"""Scope key of the request's visit."""

_KEY = "phiserve.key"
"""Scope key of the key that a request came with."""


class AuthorizationMiddleware:
    """Refuses requests without `Authorization: Bearer <key>`, and those beyond a key's limits.

    Both before their body is read.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer 401 or 429."""
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
        elif (key := self._key_of(scope)) is None:
            await error_to_response(Unauthorized("The API key is missing or wrong"))(scope, receive, send)
        elif _is_counted(scope):
            await self._answer_counted(key, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _key_of(self, scope: Scope) -> Key | None:
        scheme, _, given = (header_of(scope, b"authorization") or "").partition(" ")
        secret = given if scheme.lower() == "bearer" else ""
        key = self._gate.key_of(secret.encode("latin-1"))  # as headers are decoded
        if key is not None:
            record_of(scope).owner = key.owner
            scope[_KEY] = key
        return key

    async def _answer_counted(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._gate.enter(key) as visit:
                scope[_VISIT] = visit
                send = _with_limits(send, visit)
                try:
                    await visit.begin()
                except RateLimitReached as refusal:
                    await error_to_response(refusal)(scope, receive, send)
                else:
                    await self._app(scope, receive, send)
        except RateLimitReached as refusal:  # of `enter`
            await error_to_response(refusal)(scope, receive, send)


def tenant_of(request: Request) -> str | None:
    """Whose request it is: the key's owner, else the client's address, else nobody's."""
    return visit_of(request).owner or (_network(request.client.host) if request.client else None)


def owner_of(request: Request) -> str:
    """Whose stored objects it may see: the key's owner's; where there are no keys, all there are."""
    key: Key | None = request.scope.get(_KEY)
    return "" if key is None else key.owner


def key_id_of(request: Request) -> str | None:
    """The id of the key that a request came with; None where there are no keys."""
    key: Key | None = request.scope.get(_KEY)
    return None if key is None else key.id


def _network(host: str) -> str:
    """An address; of IPv6 its network of 64 bits, in which one client has as many addresses as it likes."""
    return str(IPv6Network((host.partition("%")[0], 64), strict=False)) if ":" in host else host


def visit_of(request: Request) -> Visit:
    """The visit that a request is, which says whose it is; one of anybody where the server has no keys."""
    visit: Visit = request.scope.get(_VISIT) or Visit()
    return visit


def _with_limits(send: Send, visit: KeyVisit) -> Send:
    """A `send` that adds to the head of a response how the key's limits stand."""

    async def send_with_limits(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(visit.headers())
        await send(message)

    return send_with_limits


def _is_counted(scope: Scope) -> bool:
    path: str = scope["path"]
    return path in COUNTED_PATHS or (scope["method"] == "POST" and path.startswith(COUNTED_WRITES))


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)
