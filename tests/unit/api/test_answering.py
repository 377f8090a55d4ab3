"""What routes that answer share: the order of a stream's parts, and how one ends in an error."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from phiserve.access.visit import Visit
from phiserve.api.answering import begin_answer, stream_answer
from phiserve.api.request_log import RequestRecord
from phiserve.api.services import Services
from phiserve.core import Conversation, GenerationRequest, Turn
from phiserve.engine.interface import Delta
from phiserve.errors import EngineFailure, Overloaded, RequestError
from scripted import ScriptedEngine, delta
from wire import ANSWER

MakeServices = Callable[..., Services]
SCOPE = {"type": "http"}
REQUEST = GenerationRequest("r", Conversation((Turn("user", ("Hi",)),)), stream=True)


class Plain:
    """Writes texts as they are; nothing for those that are empty."""

    def feed(self, delta: Delta) -> bytes:
        return delta.text.encode()

    def end(self) -> bytes:
        return b"end"


async def streamed(services: Services, steps: AsyncGenerator[Delta, None]) -> list[bytes]:
    """The bodies that a client gets."""
    sent: list[bytes] = []

    async def receive() -> dict[str, object]:
        return await asyncio.Future()

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            body = message["body"]
            assert isinstance(body, bytes)
            sent.append(body)

    def failure(error: RequestError) -> bytes:
        return f"failed: {error.message}".encode()

    response = await stream_answer(services, steps, Plain(), failure)
    await response({**SCOPE}, receive, send)  # type: ignore[arg-type]
    return sent


async def played(*steps: Delta | Exception) -> AsyncGenerator[Delta, None]:
    for step in steps:
        if isinstance(step, Exception):
            raise step
        yield step


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (delta("b", finish="stop"), [b"a", b"b", b"end", b""]),
        (EngineFailure("broken"), [b"a", b"failed: broken", b""]),
        (ValueError("secret"), [b"a", b"failed: The server failed on this request", b""]),
    ],
)
def test_a_stream(make_services: MakeServices, last: Delta | Exception, expected: list[bytes]) -> None:
    """What the writer has for each delta, then its end; or how the surface tells of an error."""
    services = make_services(ScriptedEngine())
    assert asyncio.run(streamed(services, played(delta("a"), delta(""), last))) == expected


def test_what_fails_before_the_first_event_is_raised(make_services: MakeServices) -> None:
    """So that it has a status of its own."""
    with pytest.raises(Overloaded):
        asyncio.run(streamed(make_services(ScriptedEngine()), played(Overloaded("full"))))


def test_an_answer_begins_with_its_prompt(make_services: MakeServices) -> None:
    """The record knows of it and counts what it says, before anything is said."""

    async def run() -> RequestRecord:
        record = RequestRecord(owner="begun")  # no end is told, so that its gauge stays
        answer, deltas = await begin_answer(make_services(ScriptedEngine(ANSWER)), REQUEST, Visit(), record)
        assert record.answer is answer
        assert answer.counts().prompt == len(answer.prompt_ids) > 0
        async for step in deltas:
            answer.feed(step)
        return record

    record = asyncio.run(run())
    assert (record.stream, record.images) == (True, 0)
    assert record.answer is not None
    assert record.answer.counts().completion == 3
