"""Bodies are read no further than the limit."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from phiserve.api.app import create_app
from phiserve.api.body_budget import FREE_BYTES
from phiserve.api.services import Services
from scripted import ScriptedEngine
from serving import RawClient, connected, serving
from wire import ANSWER, BODY, call, post

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


def post_coded(services: Services, coding: str, body: bytes) -> httpx.Response:
    """A chat request with a content coding."""
    return call(services, "POST", "/v1/chat/completions", content=body, headers={"content-encoding": coding})


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(make_services: MakeServices, coding: str, compress: Callable[..., bytes]) -> None:
    """Are read like others; damaged ones are told apart from bad JSON, and unknown codings are refused."""
    services = make_services(ScriptedEngine(ANSWER))
    body = compress(json.dumps(BODY).encode())
    assert post_coded(services, coding, body).status_code == 200
    refused = post_coded(services, coding, body[:-5])
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_body")
    unknown = post_coded(services, "br", body)
    assert (unknown.status_code, unknown.headers["accept-encoding"]) == (415, "gzip, deflate")


def test_a_bomb_is_held_to_the_limit(make_services: MakeServices) -> None:
    """What counts is the decoded size."""
    services = make_services(ScriptedEngine(ANSWER), max_body_bytes=2**20)
    assert post_coded(services, "gzip", gzip.compress(bytes(2**26))).status_code == 413


async def announced(client: RawClient, size: int) -> bytes:
    """The first answer to a request that waits for leave to send its body."""
    await client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\n"
        b"content-length: %d\r\n\r\n" % size
    )
    return await client.until(b"\r\n\r\n")


async def answered(port: int, body: bytes) -> bytes:
    """The head of the answer to a body; it is sent only with leave."""
    async with connected(port) as client:
        head = await announced(client, len(body))
        if b" 100 " in head:
            await client.send(body)
            head = await client.until(b"\r\n\r\n")
        return head


def test_bodies_have_a_budget(make_services: MakeServices) -> None:
    """While two half-sent bodies hold it, a third is refused before it is read, and goes through later; a
    small one always does.
    """
    limit = 2**20
    budget = 2 * (limit - FREE_BYTES)
    services = make_services(ScriptedEngine(ANSWER), max_body_bytes=limit, max_body_bytes_in_flight=budget)
    app = create_app(services)
    small = json.dumps(BODY).encode()
    large = small[:-1] + b" " * (limit - len(small)) + b"}"

    async def run() -> None:
        async with serving(app) as server:
            async with connected(server.port) as first, connected(server.port) as second:
                for half in (first, second):
                    assert b" 100 " in await announced(half, limit)
                    await half.send(large[:-1])
                while app.state.body_budget.held_bytes < budget - 2:
                    await asyncio.sleep(0.01)
                assert b" 429 " in await answered(server.port, large)
                assert b" 200 " in await answered(server.port, small)
            while app.state.body_budget.held_bytes:  # both hung up
                await asyncio.sleep(0.01)
            assert b" 200 " in await answered(server.port, large)

    asyncio.run(run())
