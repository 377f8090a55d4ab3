"""HEAD is GET without a body."""

import asyncio
from collections.abc import Callable
from typing import cast

import httpx
import pytest
from fastapi.routing import APIRoute

from phiserve.api import chat, status
from phiserve.api.app import create_app
from phiserve.api.services import Services
from scripted import ScriptedEngine
from serving import connected, serving
from wire import call

MakeServices = Callable[..., Services]
ROUTES = [cast("APIRoute", route) for router in (chat.router, status.router) for route in router.routes]
ASKED = [route.path.replace("{model_id:path}", "m") for route in ROUTES if "GET" in route.methods]


@pytest.mark.parametrize("path", [*ASKED, "/docs", "/openapi.json"])
def test_every_get_route_has_head(make_services: MakeServices, path: str) -> None:
    """With the same status and headers; also where a key is needed."""

    def asked(method: str) -> httpx.Response:
        return call(make_services(ScriptedEngine()), method, path)

    head, get = asked("HEAD"), asked("GET")
    assert (head.status_code, head.content) == (200, b"")
    same = ("content-type", "content-length")
    assert [head.headers.get(name) for name in same] == [get.headers.get(name) for name in same]


def test_other_routes_have_none(make_services: MakeServices) -> None:
    """405, and what is allowed instead."""
    response = call(make_services(ScriptedEngine()), "HEAD", "/v1/chat/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_over_a_socket(make_services: MakeServices) -> None:
    """The answer ends with its head, and the connection goes on."""

    async def run() -> None:
        app = create_app(make_services(ScriptedEngine()))
        async with serving(app) as server, connected(server.port) as client:
            for _ in range(2):
                await client.send(b"HEAD /metrics HTTP/1.1\r\nhost: t\r\n\r\n")
                assert b"content-length: 4\r\n" in await client.until(b"\r\n\r\n")
            await client.send(b"HEAD /metrics HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
            assert (await client.rest()).endswith(b"\r\n\r\n")

    asyncio.run(run())
