"""Requests through the whole application, without a network."""

import asyncio
import json
from typing import Any

import httpx

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.protocol.models import RequestLimits
from scripted import delta

LIMITS = RequestLimits(4096, 1, 2, 3, 4, 5.0, 6, 7, 8)
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = [delta(" Hel", ids=[5]), delta("", ids=[6]), delta("lo", ids=[7], finish="stop")]


def call(services: Services, method: str, path: str, **options: object) -> httpx.Response:
    """One request of any kind."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)  # type: ignore[arg-type]

    return asyncio.run(run())


def post(
    services: Services,
    body: Any = None,
    path: str = "/v1/chat/completions",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> httpx.Response:
    """One request through the whole application."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            content = body if isinstance(body, bytes) else json.dumps((body or BODY) | fields).encode()
            return await client.post(path, content=content, headers=headers)

    return asyncio.run(run())


def events(response: httpx.Response) -> list[Any]:
    """The events of a stream, parsed."""
    frames = [
        line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")
    ]
    return [frame if frame == "[DONE]" else json.loads(frame) for frame in frames]
