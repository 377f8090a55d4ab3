"""Responses in the background as streams: they outlive their clients, who go on where they were."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from phiserve.api.app import create_app
from phiserve.api.responses import background, event_log, telling
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.errors import EngineFailure, EngineUnavailable
from phiserve.protocol.responses.request import LOGPROBS
from responses_types import TEXT_EVENTS, Specification, events_of
from scripted import ScriptedEngine, delta
from serving import serving
from stateful import PATH, WAIT_S, Held, answered, ended, fetched, running
from wire import ANSWER

MakeServices = Callable[..., Services]
BODY: dict[str, Any] = {"input": "Hi", "background": True, "stream": True}
TOOLS = [{"type": "function", "name": "look", "parameters": {"type": "object"}}]
CALLS = ' functools[{"name":"look","arguments":{"a":1}},{"name":"look","arguments":{}}]'
QUEUED_EVENTS = ["response.created", "response.queued", "response.in_progress"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for that takes seconds in a real server."""
    monkeypatch.setattr(background, "RENEW_S", 0.01)
    monkeypatch.setattr(background, "RETRY_S", 0.01)
    monkeypatch.setattr(telling, "POLL_S", 0.01)


async def made(client: httpx.AsyncClient, **fields: Any) -> list[dict[str, Any]]:
    """All events of a new response in the background."""
    response = await client.post(PATH, json=BODY | fields)
    assert response.status_code == 200, response.text
    return events_of(response.text)


async def told(client: httpx.AsyncClient, response_id: str, after: int | None = None) -> list[dict[str, Any]]:
    """The events of a stored response from behind a number, checked."""
    query = {"stream": "true"} | ({} if after is None else {"starting_after": str(after)})
    response = await client.get(f"{PATH}/{response_id}", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return events_of(response.text, 0 if after is None else after + 1)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Their types, without repetitions."""
    return list(dict.fromkeys(event["type"] for event in events))


def test_the_client_that_asks(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """Gets the events of any response, and that it was queued; the last has what is stored."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            events = await made(client)
            assert kinds(events) == [*QUEUED_EVENTS, *TEXT_EVENTS[2:]]
            for event in events:
                Specification(reference).validate("ResponseStreamEvent", event)
            statuses = [event["response"]["status"] for event in events if "response" in event]
            assert statuses == ["queued", "queued", "in_progress", "completed"]
            response_id = events[0]["response"]["id"]
            assert events[-1]["response"] == await fetched(client, f"{PATH}/{response_id}")
            for after in (None, *range(len(events))):
                assert await told(client, response_id, after) == events[0 if after is None else after + 1 :]

    asyncio.run(run())


def test_a_dropped_connection(make_services: MakeServices, tmp_path: Path) -> None:
    """The response goes on; others follow it from where the client was, also what is still to come."""
    held = Held()
    held.engine.steps = [ANSWER[0], *held.engine.steps]
    shutdown = Shutdown()

    async def run() -> None:
        app = create_app(make_services(held.engine, state=tmp_path), shutdown)
        async with serving(app, shutdown=shutdown) as server:
            base = f"http://127.0.0.1:{server.port}"
            async with httpx.AsyncClient(base_url=base, timeout=WAIT_S) as client:
                text = ""
                async with client.stream("POST", PATH, json=BODY) as response:
                    async for piece in response.aiter_text():
                        text += piece
                        if "output_text.delta" in text:
                            break
                await asyncio.wait_for(held.reached.wait(), WAIT_S)
                seen = events_of(text)
                response_id = seen[0]["response"]["id"]
                following = asyncio.create_task(told(client, response_id, seen[-1]["sequence_number"]))
                async with client.stream("GET", f"{PATH}/{response_id}?stream=true") as response:
                    await anext(response.aiter_text())  # told at once what there is
                assert not held.engine.closed.is_set()
                held.may_go_on.set()
                rest = await asyncio.wait_for(following, WAIT_S)
                assert seen + rest == await told(client, response_id)
                assert rest[-1]["response"]["output"][0]["content"][0]["text"] == "Hel Hello"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({}, ANSWER),
        ({"include": [LOGPROBS]}, ANSWER),
        ({"max_output_tokens": 2}, [delta(" a", ids=[5, 6], finish="length")]),
        ({"tools": TOOLS}, [delta(CALLS, ids=[5], finish="stop")]),
        ({"background": False}, ANSWER),
        ({"background": False, "tools": TOOLS}, [delta(CALLS, ids=[5], finish="stop")]),
    ],
)
def test_told_anew(
    make_services: MakeServices, tmp_path: Path, fields: dict[str, Any], answer: Any, reference: Path
) -> None:
    """From the store: the same events, but that each text and each call's arguments come at once."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(answer), state=tmp_path)) as client:
            events = await made(client, **fields)
            response_id = events[0]["response"]["id"]
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            anew = await told(client, response_id)
            for event in anew:
                Specification(reference).validate("ResponseStreamEvent", event)
            assert without_deltas(anew) == without_deltas(events)
            assert texts(anew) == texts(events)
            num_opening = 3 if events[0]["response"]["background"] else 2
            for after in range(num_opening):
                assert await told(client, response_id, after) == anew[after + 1 :]
            for after in (num_opening, len(anew), 1000):
                (last,) = await told(client, response_id, after)
                assert last["response"] == anew[-1]["response"]

    asyncio.run(run())


def without_deltas(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All events but deltas, without their numbers."""
    whole = [event for event in events if not event["type"].endswith(".delta")]
    return [{name: event[name] for name in event if name != "sequence_number"} for event in whole]


def texts(events: list[dict[str, Any]]) -> dict[str, str]:
    """What deltas add up to, by their items; each comes behind its item's beginning."""
    added: dict[str, str] = {}
    for event in events:
        if event["type"] == "response.output_item.added":
            added[event["item"]["id"]] = ""
        elif event["type"].endswith(".delta"):
            added[event["item_id"]] += event["delta"]
    return added


def test_one_that_another_server_answers(make_services: MakeServices, tmp_path: Path) -> None:
    """Is waited for, and told anew once it has ended; so is one that was not to be streamed."""
    held = Held()

    async def run() -> None:
        async with (
            running(make_services(held.engine, state=tmp_path)) as working,
            running(make_services(ScriptedEngine(), state=tmp_path)) as other,
        ):
            queued = await answered(working, input="Hi", background=True)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            following = [asyncio.create_task(told(client, queued["id"])) for client in (working, other)]
            held.may_go_on.set()
            for events in await asyncio.gather(*following):
                assert kinds(events) == [*QUEUED_EVENTS, *TEXT_EVENTS[2:]]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("steps", "items", "code"),
    [
        ([EngineFailure("it broke")], [], "server_error"),
        ([ANSWER[0], EngineFailure("it broke")], list(TEXT_EVENTS[2:5]), "server_error"),
        ([ANSWER[0], EngineUnavailable("it broke")], list(TEXT_EVENTS[2:5]), "server_error"),
    ],
)
def test_a_failure(
    make_services: MakeServices, tmp_path: Path, steps: Any, items: list[str], code: str
) -> None:
    """Is told as such, and what was open has not ended; an answer that was shown is not begun anew."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(steps), state=tmp_path)) as client:
            events = await made(client)
            assert kinds(events) == [*QUEUED_EVENTS, *items, "error", "response.failed"]
            assert (events[-2]["code"], events[-2]["message"]) == (code, "it broke")
            response_id = events[0]["response"]["id"]
            assert events[-1]["response"] == await fetched(client, f"{PATH}/{response_id}")
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            assert kinds(await told(client, response_id)) == kinds(events)
            assert kinds(await told(client, response_id, 50)) == ["error", "response.failed"]

    asyncio.run(run())


def test_it_is_tried_again_before_it_shows_anything(make_services: MakeServices, tmp_path: Path) -> None:
    """A stream waits as any other response in the background does, and begins once."""
    engine = ScriptedEngine([EngineUnavailable("not now")])

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            making = asyncio.create_task(made(client))
            while not engine.generations:
                await asyncio.sleep(0)
            engine.steps = ANSWER
            assert kinds(await making) == [*QUEUED_EVENTS, *TEXT_EVENTS[2:]]

    asyncio.run(run())


@pytest.mark.parametrize("deletes", [True, False])
def test_it_is_ended(make_services: MakeServices, tmp_path: Path, deletes: bool) -> None:
    """Deleted or cancelled: whoever reads is told, and so is who comes later."""
    held = Held()

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path)) as client:
            making = asyncio.create_task(made(client))
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            path = f"{PATH}/{held.engine.generations[0].request_id}"
            await (client.delete(path) if deletes else client.post(f"{path}/cancel"))
            *_, last = await making
            reason = "not found" if deletes else "was cancelled"
            assert (last["type"], reason in last["message"]) == ("error", True)
            again = await client.get(f"{path}?stream=true")
            assert again.status_code == (404 if deletes else 200)
            if not deletes:
                assert [events_of(again.text)[0]["type"], events_of(again.text)[-1]["type"]] == [
                    "response.created",
                    "error",
                ]

    asyncio.run(run())


def test_the_server_ends(make_services: MakeServices, tmp_path: Path) -> None:
    """A stream whose response waits for the next server says so, and nothing of the response."""
    held = Held()
    shutdown = Shutdown()

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path)
        async with (
            running(make_services(ScriptedEngine(), state=tmp_path), shutdown) as other,
            running(services) as working,
        ):
            queued = await answered(working, input="Hi", background=True)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            following = asyncio.create_task(told(other, queued["id"]))
            await asyncio.sleep(0)
            shutdown.begin()
            *_, last = await following
            assert (last["type"], last["code"]) == ("error", "engine_unavailable")

    asyncio.run(run())


def test_events_are_forgotten(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into memory is told anew; a deleted response leaves nothing there."""
    monkeypatch.setattr(event_log, "MAX_BYTES", 0)

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            events = await made(client)
            response_id = events[0]["response"]["id"]
            await ended(client, response_id)
            assert len(await told(client, response_id, 7)) == 1

    asyncio.run(run())
