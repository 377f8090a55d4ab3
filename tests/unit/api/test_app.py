"""The application as a whole."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from phiserve.api.app import create_app
from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import call

MakeServices = Callable[..., Services]


PREFLIGHT = {
    "origin": "https://page.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "x",
}


def test_cors_is_off_unless_configured(make_services: MakeServices) -> None:
    """Without origins in the settings, no answer has CORS headers."""
    services = make_services(ScriptedEngine())
    for method, path in (("OPTIONS", "/v1/chat/completions"), ("GET", "/v1/models")):
        answer = call(services, method, path, headers=PREFLIGHT)
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_cors_for_configured_origins(make_services: MakeServices) -> None:
    """A listed page may call, and read errors too; its preflight needs no key. Another page may not."""
    services = make_services(ScriptedEngine(), cors_origins=["https://page.example"], api_key="k")
    assert call(services, "OPTIONS", "/v1/chat/completions", headers=PREFLIGHT).status_code == 200
    refused = call(services, "GET", "/v1/models", headers=PREFLIGHT)
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://page.example"
    other = call(services, "GET", "/v1/models", headers={"origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers


def test_services_are_closed_with_the_app(make_services: MakeServices) -> None:
    """The lifespan's end closes what the launcher built."""
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    services = replace(make_services(ScriptedEngine()), close=close)
    app = create_app(services)

    async def run() -> None:
        async with app.router.lifespan_context(app):
            assert closed == []

    asyncio.run(run())
    assert closed == [True]
