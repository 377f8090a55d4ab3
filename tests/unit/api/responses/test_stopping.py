"""Responses that are deleted while their client is told of them: work ends, and the client learns it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from phiserve.api.responses import background
from phiserve.api.responses.stopping import Stop
from phiserve.api.services import Services
from phiserve.engine.interface import Delta
from responses_types import events_of
from scripted import ScriptedEngine, delta
from stateful import PATH, WAIT_S, answered, fetched, running
from wire import ANSWER

MakeServices = Callable[..., Services]


def test_deltas_until_it_is_set() -> None:
    """While one is waited for, or between two; what they raise themselves is raised."""
    closed: list[str] = []

    async def deltas(name: str, failure: Exception | None = None) -> AsyncGenerator[Delta, None]:
        try:
            yield delta("a")
            yield delta("b")
            if failure is not None:
                raise failure
            await asyncio.Event().wait()
        finally:
            closed.append(name)

    async def run() -> None:
        waiting = Stop()
        asyncio.get_running_loop().call_later(0.05, waiting.set)
        assert [one.text async for one in waiting.each_until(deltas("waiting"))] == ["a", "b"]
        between, told = Stop(), []
        async for one in between.each_until(deltas("between")):
            told.append(one.text)
            between.set()
        assert told == ["a"]
        with pytest.raises(TimeoutError):
            _ = [one async for one in Stop().each_until(deltas("failing", TimeoutError()))]

    asyncio.run(run())
    assert closed == ["waiting", "between", "failing"]


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("keepalive_s", [None, 0.05])
def test_deleting_what_is_streamed(
    make_services: MakeServices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: bool,
    keepalive_s: float | None,
) -> None:
    """The engine's work ends, and so does the stream, as one whose response is not there; at any server."""
    monkeypatch.setattr(background, "RENEW_S", 0.01)
    reached = asyncio.Event()

    async def forever() -> None:
        reached.set()
        await asyncio.Event().wait()

    engine = ScriptedEngine([ANSWER[0], forever])  # type: ignore[list-item]
    settings: dict[str, Any] = {"sse_keepalive_s": keepalive_s}

    async def run() -> None:
        async with (
            running(make_services(engine, state=tmp_path, **settings)) as client,
            running(make_services(ScriptedEngine(), state=tmp_path)) as other,
        ):
            name = (await answered(client, "/v1/conversations"))["id"]
            body = {"input": "Hi", "stream": True, "conversation": name}
            asking = asyncio.create_task(client.post(PATH, json=body))
            await asyncio.wait_for(reached.wait(), WAIT_S)
            (response_id,) = [generation.request_id for generation in engine.generations]
            path = f"{PATH}/{response_id}"
            assert (await (other if elsewhere else client).delete(path)).status_code == 200
            await asyncio.wait_for(engine.closed.wait(), WAIT_S)
            told = (await asyncio.wait_for(asking, WAIT_S)).text
            frames = "\n\n".join(one for one in told.split("\n\n") if not one.startswith(":"))
            error, failed = events_of(frames)[-2:]
            assert (error["code"], failed["type"]) == ("not_found", "response.failed")
            assert (await client.get(path)).status_code == 404
            assert (await fetched(client, f"/v1/conversations/{name}/items"))["data"] == []

    asyncio.run(run())
