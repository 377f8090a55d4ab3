"""What is answered once the server has begun to end (how it ends: connections/test_server.py)."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown, ends_with_server
from scripted import ScriptedEngine

MakeServices = Callable[..., Services]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/chat/completions", 503),
        ("POST", "/tokenize", 503),
        ("GET", "/ready", 503),
        ("HEAD", "/ready", 503),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v1/models", 200),
    ],
)
def test_new_work_is_refused(make_services: MakeServices, method: str, path: str, status: int) -> None:
    """At once, with the time to come back, on a connection that closes; questions are answered."""

    async def run() -> httpx.Response:
        shutdown = Shutdown()
        app = create_app(make_services(ScriptedEngine()), shutdown)
        shutdown.begin()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path)

    response = asyncio.run(run())
    assert response.status_code == status
    if status == 503:
        assert (response.headers["retry-after"], response.headers["connection"]) == ("2", "close")
        assert "x-request-id" in response.headers


def test_only_the_end_of_the_grace_is_the_end() -> None:
    """A request that is cancelled for another reason is not told that the server ends."""
    shutdown = Shutdown()
    scope = {"phiserve.shutdown": shutdown}
    assert not ends_with_server({})
    shutdown.begin()
    assert not ends_with_server(scope)
    shutdown.finish()
    assert ends_with_server(scope)
