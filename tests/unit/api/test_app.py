"""The application as a whole."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from phiserve.api.app import create_app
from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import call

MakeServices = Callable[..., Services]


def test_openapi_document(make_services: MakeServices) -> None:
    """The document describes the request that the route validates itself."""
    document = call(make_services(ScriptedEngine()), "GET", "/openapi.json").json()
    schema = document["components"]["schemas"]["ChatCompletionRequest"]
    assert {"messages", "model", "stream"} <= set(schema["properties"])
    body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/ChatCompletionRequest"}


def test_services_are_closed_with_the_app(make_services: MakeServices) -> None:
    """The lifespan's end closes what the launcher built."""
    closed: list[bool] = []
    services = replace(make_services(ScriptedEngine()), close=lambda: closed.append(True))
    app = create_app(services)

    async def run() -> None:
        async with app.router.lifespan_context(app):
            assert closed == []

    asyncio.run(run())
    assert closed == [True]
