"""What clients are told while the server ends."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from phiserve.api.json_response import error_to_response
from phiserve.errors import ShuttingDown

_SHUTDOWN = "phiserve.shutdown"
"""Scope key of the server's `Shutdown`."""

_ASKING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Of requests that are answered to the end: they ask how the server is."""


class Shutdown:
    """Whether the server has begun to end, and whether the time of running requests is over.

    Its methods only set what is read elsewhere, so that a signal handler may call them.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.is_over = False
        self._also_runs: list[Callable[[], bool]] = []

    def wait_for(self, is_running: Callable[[], bool]) -> None:
        """Let the end of the server wait, as it does for requests, while this says so."""
        self._also_runs.append(is_running)

    @property
    def is_awaited(self) -> bool:
        """Whether anything runs that is no request of a connection."""
        return any(is_running() for is_running in self._also_runs)

    def begin(self) -> None:
        """From now on new requests are refused, and /ready says so."""
        self.has_begun = True

    def finish(self) -> None:
        """Requests that are cancelled from now on are so because their time is over."""
        self.has_begun = self.is_over = True


def shutting_down() -> ShuttingDown:
    """What a request is told that the server does not answer any more."""
    return ShuttingDown("The server is shutting down")


def ends_with_server(scope: Scope) -> bool:
    """Whether a request that was cancelled was so because the server ends."""
    shutdown: Shutdown | None = scope.get(_SHUTDOWN)
    return shutdown is not None and shutdown.is_over


class ShutdownMiddleware:
    """Refuses new work once the server has begun to end, and turns /ready 503; other questions pass."""

    def __init__(self, app: ASGIApp, shutdown: Shutdown) -> None:
        self._app = app
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer 503 and close its connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[_SHUTDOWN] = self._shutdown
        if self._shutdown.has_begun and (scope["method"] not in _ASKING_METHODS or scope["path"] == "/ready"):
            response = error_to_response(shutting_down())
            response.headers["connection"] = "close"
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)
