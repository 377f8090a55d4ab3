"""Requests through an application that runs for as long as a test needs it, in one event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from scripted import ScriptedEngine
from wire import ANSWER

PATH = "/v1/responses"
WAIT_S = 120
"""Seconds in which whatever is waited for comes, however busy the machine is."""

ENDED = ("completed", "incomplete", "failed", "cancelled")


class Held:
    """An engine whose answers wait until they are let go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.engine = ScriptedEngine([self._wait, *ANSWER])  # type: ignore[list-item]

    async def _wait(self) -> None:
        self.reached.set()
        await self.may_go_on.wait()


@asynccontextmanager
async def running(services: Services, shutdown: Shutdown | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, from its start to its end."""
    app = create_app(services, shutdown)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def answered(client: httpx.AsyncClient, path: str = PATH, **fields: Any) -> dict[str, Any]:
    """What a request that is not refused is answered with."""
    response = await client.post(path, json=fields)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def fetched(client: httpx.AsyncClient, path: str, **query: str) -> dict[str, Any]:
    """What is at a path."""
    response = await client.get(path, params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def ended(client: httpx.AsyncClient, response_id: str) -> dict[str, Any]:
    """A response, once it has ended."""

    async def poll() -> dict[str, Any]:
        while True:
            response = await fetched(client, f"{PATH}/{response_id}")
            if response["status"] in ENDED:
                return response
            await asyncio.sleep(0.01)

    return await asyncio.wait_for(poll(), WAIT_S)


async def until(condition: Callable[[], bool]) -> None:
    """Come back once it holds; a failure if it does not in time."""

    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0)

    await asyncio.wait_for(poll(), WAIT_S)
