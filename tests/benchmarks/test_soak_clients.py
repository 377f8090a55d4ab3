"""Clients judge what a server does to them; servers that behave in all kinds of ways."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import aiohttp
import openai
import pytest

from benchmarks.load import with_session
from benchmarks.soak_bodies import Asked
from benchmarks.soak_clients import Clients
from benchmarks.soak_fates import ANSWERED, LEFT, REFUSED, VIOLATION, Fate
from servers import Reply, WebServer, close_at_once, events, refusal, tcp_server, web_server

Act = Callable[[Clients], Awaitable[None]]
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
STREAM = Asked("stream", BODY | {"stream": True})
WHOLE = Asked("text", BODY)
COMPLETION = json.dumps(
    {"object": "chat.completion", "choices": [{"finish_reason": "stop", "logprobs": None, "message": {}}]}
).encode()
EVENTS = events("Hello")[2].replace(b'"delta"', b'"index": 0, "delta"')
STREAMED = (200, "text/event-stream; charset=utf-8", EVENTS)
CUT = (200, "text/event-stream; charset=utf-8", EVENTS.removesuffix(b"data: [DONE]\n\n"))


def acted(url: str, act: Act) -> Fate:
    """The fate of one request."""

    async def work(session: aiohttp.ClientSession) -> list[Fate]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as chat:
            clients = Clients(url, session, chat, "k")
            await act(clients)
            assert clients.begun == 1
            return clients.fates

    (fate,) = with_session(work)
    return fate


def fate_of(reply: Reply, act: Act) -> Fate:
    with web_server(WebServer(posts=[reply])) as server:
        return acted(server.url.removesuffix("/v1"), act)


@pytest.mark.parametrize(
    ("reply", "asked", "fate"),
    [
        (STREAMED, STREAM, ANSWERED),
        (CUT, STREAM, VIOLATION),
        ((200, "text/plain", b""), STREAM, VIOLATION),
        ((200, "application/json", COMPLETION), WHOLE, ANSWERED),
        (refusal(429, "too many"), WHOLE, REFUSED),
        (refusal(400, "what?"), WHOLE, VIOLATION),
        ((503, "text/plain", b"down"), WHOLE, VIOLATION),
    ],
)
def test_good_clients(reply: Reply, asked: Asked, fate: str) -> None:
    assert fate_of(reply, lambda clients: clients.well(asked)).fate == fate


def test_the_openai_client() -> None:
    assert fate_of(STREAMED, lambda clients: clients.by_openai(STREAM)).fate == ANSWERED
    assert fate_of(CUT, lambda clients: clients.by_openai(Asked("x", BODY | {"n": 2}))).fate == VIOLATION


def test_connections_that_fail_are_violations() -> None:
    with tcp_server(close_at_once) as url:
        assert acted(url.removesuffix("/v1"), lambda clients: clients.well(WHOLE)).fate == VIOLATION
    assert acted("http://127.0.0.1:9", lambda clients: clients.by_openai(WHOLE)).fate == VIOLATION


def test_wrong_keys_are_to_be_refused() -> None:
    assert fate_of(STREAMED, lambda clients: clients.without_key(STREAM)).fate == VIOLATION
    assert fate_of(refusal(401, "no"), lambda clients: clients.without_key(STREAM)).fate == REFUSED


def test_hang_ups_and_halves() -> None:
    """Whoever leaves was not wronged."""
    chance = random.Random(1)
    assert fate_of(STREAMED, lambda clients: clients.hanging_up(STREAM, chance)).fate == LEFT
    assert fate_of(STREAMED, lambda clients: clients.half(STREAM, waits=False)).fate == LEFT


def test_pauses_end_with_the_load() -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with openai.AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="k") as chat:
            clients = Clients("http://127.0.0.1:9", session, chat, "k")
            clients.over.set()
            await asyncio.wait_for(clients.pause(600), 60)

    with_session(work)
