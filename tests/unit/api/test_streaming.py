"""Streams end when their clients do, and comments keep silent ones open."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.api.streaming import PLAIN_SEND, ClientGone, EventStream, unless_hung_up
from phiserve.errors import EngineFailure
from phiserve.protocol.events import KEEPALIVE
from scripted import ScriptedEngine, delta
from wire import ANSWER, BODY, events, post

MakeServices = Callable[..., Services]


SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "headers": [(b"content-type", b"application/json")],
    "query_string": b"",
    "http_version": "1.1",
    "scheme": "http",
    "server": ("t", 80),
    "client": ("c", 1),
}


class LeavingClient:
    """Sends one body, and hangs up when it is told to."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._body = iter([{"type": "http.request", "body": json.dumps(body).encode()}])
        self.gone = asyncio.Event()

    async def receive(self) -> Any:
        if (message := next(self._body, None)) is not None:
            return message
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """What is answered goes nowhere."""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_hanging_up_closes_the_engine_request(make_services: MakeServices, stream: bool, begun: bool) -> None:
    """A client that goes away, before or after the first token, closes the engine's generator at once."""

    async def run() -> ScriptedEngine:
        reached = asyncio.Event()

        async def forever() -> None:
            reached.set()
            await asyncio.Event().wait()

        engine = ScriptedEngine([*([delta("a")] if begun else []), forever])  # type: ignore[list-item]
        client = LeavingClient(BODY | {"stream": stream})
        app = create_app(make_services(engine))
        answering = asyncio.create_task(app(SCOPE.copy(), client.receive, client.send))
        await reached.wait()
        client.gone.set()
        await asyncio.wait_for(engine.closed.wait(), 2)
        await asyncio.wait_for(answering, 2)
        return engine

    assert len(asyncio.run(run()).generations) == 1


def test_keepalive_comments(make_services: MakeServices) -> None:
    """While the engine is silent, comments keep the connection alive."""

    async def run() -> httpx.Response:
        commented = asyncio.Event()
        answering = create_app(make_services(ScriptedEngine([commented.wait, *ANSWER]), sse_keepalive_s=0.02))  # type: ignore[list-item]

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def sending(message: Message) -> None:
                await send(message)
                if message.get("body") == KEEPALIVE:
                    commented.set()

            await answering(scope, receive, sending)

        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(watched), base_url="http://test"
        ) as client:
            return await client.post("/v1/chat/completions", json=BODY | {"stream": True}, timeout=60)

    response = asyncio.run(run())
    assert response.text.startswith(": keep-alive\n\n")
    assert events(response)[1:4] != []
    assert events(response)[-1] == "[DONE]"


def test_no_comments_unless_they_are_set(make_services: MakeServices) -> None:
    """However long the engine is silent: nothing looks at a clock."""

    async def silence() -> None:
        for _ in range(100):
            await asyncio.sleep(0)

    text = post(make_services(ScriptedEngine([silence, *ANSWER])), stream=True).text  # type: ignore[list-item]
    assert ": keep-alive" not in text
    assert text.endswith("data: [DONE]\n\n")


def test_a_failure_after_a_comment_is_an_event(make_services: MakeServices) -> None:
    """A stream that a comment has begun has status 200; one without comments still has the failure's own."""

    async def silence() -> None:
        await asyncio.sleep(0.2)

    steps = [silence, EngineFailure("no")]
    begun = post(make_services(ScriptedEngine(steps), sse_keepalive_s=0.02), stream=True)  # type: ignore[arg-type]
    assert begun.status_code == 200
    assert '"engine_error"' in begun.text
    assert begun.text.endswith("data: [DONE]\n\n")
    silent = post(make_services(ScriptedEngine(steps)), stream=True)  # type: ignore[arg-type]
    assert silent.status_code == 500


async def hang_up_now() -> dict[str, str]:
    """A client that has gone."""
    return {"type": "http.disconnect"}


def test_the_way_past_middleware_is_noted(make_services: MakeServices) -> None:
    """By the application itself, for every request."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/health",
        "headers": [],
        "query_string": b"",
        "http_version": "1.1",
    }
    scope |= {"scheme": "http", "server": ("t", 80), "client": ("c", 1)}

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        pass

    asyncio.run(create_app(make_services(ScriptedEngine([])))(scope, receive, send))
    assert PLAIN_SEND in scope


def test_events_go_past_middleware() -> None:
    """Which sees the head of a stream, and nothing of what costs time for each token."""
    through: list[str] = []
    past: list[bytes] = []

    async def frames() -> AsyncGenerator[bytes, None]:
        yield b"one"
        yield b"two"

    async def run() -> None:
        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Message) -> None:
            through.append(message["type"])

        async def plain_send(message: Message) -> None:
            past.append(message["body"])

        await (await EventStream.open(frames()))({PLAIN_SEND: plain_send}, receive, send)

    asyncio.run(run())
    assert (through, past) == (["http.response.start"], [b"one", b"two", b""])


def test_work_is_cancelled_when_the_client_goes() -> None:
    """The work is cancelled and has cleaned up before the error is raised."""
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    with pytest.raises(ClientGone):
        asyncio.run(unless_hung_up(hang_up_now, work()))
    assert cleaned == [True]


def test_finished_work_wins() -> None:
    """A result that is there is returned even if the client goes in the same moment."""

    async def work() -> int:
        return 7

    assert asyncio.run(unless_hung_up(hang_up_now, work())) == 7
