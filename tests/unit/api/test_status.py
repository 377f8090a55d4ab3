"""Models, health, readiness, and the envelope around everything the framework refuses."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from scripted import ScriptedEngine

from phiserve.api.app import create_app
from phiserve.api.services import Services

MakeServices = Callable[..., Services]


def call(services: Services, method: str, path: str, **options: object) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)  # type: ignore[arg-type]

    return asyncio.run(run())


def test_models(make_services: MakeServices) -> None:
    """The list, the one model, and 404 for others; names may hold slashes."""
    services = make_services(ScriptedEngine())
    listed = call(services, "GET", "/v1/models").json()
    assert (listed["object"], [card["id"] for card in listed["data"]]) == ("list", ["m"])
    assert call(services, "GET", "/v1/models/m").json() == listed["data"][0]
    missing = call(services, "GET", "/v1/models/owner/name")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_health_and_readiness(make_services: MakeServices) -> None:
    """A dead engine leaves the process alive but not ready."""
    alive, dead = make_services(ScriptedEngine()), make_services(ScriptedEngine(alive=False))
    assert [call(s, "GET", "/health").status_code for s in (alive, dead)] == [200, 200]
    assert [call(s, "GET", "/ready").status_code for s in (alive, dead)] == [200, 503]
    assert call(dead, "GET", "/ready").json()["error"]["code"] == "engine_unavailable"


def test_metrics_and_version(make_services: MakeServices) -> None:
    """Prometheus text and versions."""
    services = make_services(ScriptedEngine())
    assert call(services, "GET", "/metrics").text == "x 1\n"
    assert call(services, "GET", "/version").json() == {"phiserve": "0"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/chat/completions", 405), ("POST", "/v1/models", 405), ("GET", "/v1", 404)],
)
def test_framework_errors_have_the_envelope(make_services: MakeServices, method: str, path: str, status: int) -> None:
    """404 and 405 are OpenAI's error object too."""
    response = call(make_services(ScriptedEngine()), method, path)
    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1", True), ("", False), ("a b", False), ("x" * 200, False), ("é".encode(), False)]
)
def test_request_id(make_services: MakeServices, sent: str | bytes, kept: bool) -> None:
    """A sane id is echoed, anything else replaced; there always is one."""
    response = call(make_services(ScriptedEngine()), "GET", "/health", headers={"x-request-id": sent})
    returned = response.headers["x-request-id"]
    assert (returned == sent) is kept
    assert returned


def test_openapi_document(make_services: MakeServices) -> None:
    """The document describes the request that the route validates itself."""
    document = call(make_services(ScriptedEngine()), "GET", "/openapi.json").json()
    schema = document["components"]["schemas"]["ChatCompletionRequest"]
    assert {"messages", "model", "stream"} <= set(schema["properties"])
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ChatCompletionRequest"}
