"""Bodies are read no further than the limit."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from phiserve.api.app import create_app
from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import ANSWER, post

MakeServices = Callable[..., Services]


def test_body_limit(make_services: MakeServices) -> None:
    """A body over the limit is refused by its announced length, and while reading when none is announced."""
    services = make_services(ScriptedEngine(ANSWER), max_body_bytes=2000)
    refused = post(services, b"x" * 3000)
    assert refused.status_code == 413
    assert "2000 bytes (max_body_bytes)" in refused.json()["error"]["message"]

    async def chunked() -> tuple[int, int]:
        sent = 0

        async def body() -> Any:
            nonlocal sent
            for _ in range(100):
                sent += 1
                yield b"x" * 1000

        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.post("/v1/chat/completions", content=body())).status_code, sent

    status, sent = asyncio.run(chunked())
    assert (status, sent < 10) == (413, True)
