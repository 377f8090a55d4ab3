"""The application as a whole."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from phiserve.api.app import create_app
from phiserve.api.services import Services
from scripted import ScriptedEngine

MakeServices = Callable[..., Services]


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
