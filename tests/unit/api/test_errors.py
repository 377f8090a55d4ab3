"""The envelope is around everything the framework refuses."""

import asyncio
from collections.abc import Callable

import pytest

from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import call

MakeServices = Callable[..., Services]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1", 404),
    ],
)
def test_framework_errors_have_the_envelope(
    make_services: MakeServices, method: str, path: str, status: int
) -> None:
    """404 and 405 are OpenAI's error object too."""
    response = call(make_services(ScriptedEngine()), method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_a_long_path_is_cut(make_services: MakeServices) -> None:
    """An unknown route is repeated up to a length."""
    message = call(make_services(ScriptedEngine()), "GET", "/" + "x" * 10_000).json()["error"]["message"]
    assert "/xxx" in message
    assert len(message) < 300


class CancelledEngine(ScriptedEngine):
    """An engine whose answer the server does not wait for any longer."""

    async def answers_within(self, timeout_s: float) -> bool:
        """Be cancelled, as uvicorn cancels what still runs when the grace is over."""
        raise asyncio.CancelledError


def test_what_the_server_s_end_cancels_is_told_so(make_services: MakeServices) -> None:
    """A 503 in the envelope, where nothing has been sent yet."""
    response = call(make_services(CancelledEngine()), "GET", "/ready")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_unavailable")
    assert response.json()["error"]["message"] == "The server is shutting down"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/chat/completions", "POST"),
        ("/v1/responses/resp_1", "DELETE, GET"),
        ("/v1/responses/input_tokens", "POST"),
        ("/v1/conversations/conv_1", "DELETE, GET, POST"),
        ("/v1/conversations/conv_1/items", "GET, POST"),
    ],
)
def test_a_wrong_method_is_told_all_that_are_right(
    make_services: MakeServices, path: str, allowed: str
) -> None:
    """Whichever route of the path comes first."""
    response = call(make_services(ScriptedEngine()), "PUT", path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)
