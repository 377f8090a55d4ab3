"""Responses in the background: they end without their client, here or at the next server."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images import data_url, encode, noise
from phiserve.api.responses import background
from phiserve.api.services import Services
from phiserve.errors import EngineEnded, EngineFailure, EngineUnavailable, Overloaded, StoreFailure
from responses_types import Specification, strict_response
from scripted import ScriptedEngine
from stateful import PATH, WAIT_S, Held, answered, ended, fetched, running
from wire import ANSWER

MakeServices = Callable[..., Services]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
BROKEN: Any = [
    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}
]
REQUEST: dict[str, Any] = {
    "background": True,
    "instructions": "Be brief",
    "include": ["message.output_text.logprobs"],
    "max_output_tokens": 20,
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
    "tools": [{"type": "function", "name": "look", "parameters": SCHEMA}],
    "tool_choice": "none",
    "metadata": {"a": "b"},
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": data_url(encode(noise(40, 40))), "detail": "low"},
                {"type": "input_text", "text": "What is it?"},
            ],
        }
    ],
}
"""With all that has to be kept until it is answered."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for that takes seconds in a real server."""
    monkeypatch.setattr(background, "RENEW_S", 0.01)
    monkeypatch.setattr(background, "RETRY_S", 0.01)


def test_it_is_queued_and_then_answered(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """At first it is stored and has no answer; in the end it is what it would have been for a client."""
    held = Held()

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path)) as client:
            queued = await answered(client, **REQUEST)
            assert (queued["status"], queued["background"], queued["output"]) == ("queued", True, [])
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            begun = await fetched(client, f"{PATH}/{queued['id']}")
            assert begun == queued | {"status": "in_progress"}
            held.may_go_on.set()
            response = await ended(client, queued["id"])
            for told in (queued, begun, response):
                strict_response(told)
                Specification(reference).validate("Response", told)
            now = await answered(client, **REQUEST | {"background": False, "store": False})
            changing = ("id", "background", "created_at", "completed_at", "output")
            for name in changing:
                response.pop(name), now.pop(name)
            assert response == now

    asyncio.run(run())
    first, second = held.engine.generations
    assert (first.prompt_ids, first.max_tokens) == (second.prompt_ids, second.max_tokens)
    assert [image.key for image in first.images] == [image.key for image in second.images]


def test_a_restart_in_the_middle(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was queued or begun is answered by the server that comes after, from what is stored."""
    held = Held()
    monkeypatch.setattr(background, "CLAIM_AFTER_S", -1)

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path)) as client:
            first = await answered(client, **REQUEST)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            second = await answered(client, input="So?", background=True)
        engine = ScriptedEngine(ANSWER)
        async with running(make_services(engine, state=tmp_path)) as client:
            for response_id in (first["id"], second["id"]):
                response = await ended(client, response_id)
                assert response["status"] == "completed"
                assert response["output"][0]["content"][0]["text"].strip() == "Hello"
        by_id = {generation.request_id: generation for generation in engine.generations}
        (before,) = [generation for generation in held.engine.generations if generation.images]
        assert by_id[first["id"]].prompt_ids == before.prompt_ids

    asyncio.run(run())


def test_another_model_s_is_left_alone(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers of several models may share a store: each answers what was asked of its own."""
    held = Held()
    monkeypatch.setattr(background, "CLAIM_AFTER_S", -1)

    async def run() -> None:
        services = make_services(held.engine, state=tmp_path, served_model_name=["x"])
        async with running(services) as client:
            queued = await answered(client, input="Hi", background=True, model="x")
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
        looked = asyncio.Event()
        other = make_services(ScriptedEngine(ANSWER), state=tmp_path)
        assert other.store is not None
        claim = other.store.claim_unfinished

        async def claim_and_tell(older_than_s: int, limit: int) -> Any:
            claimed = await claim(older_than_s, limit)
            asyncio.get_running_loop().call_soon(looked.set)
            return claimed

        other.store.claim_unfinished = claim_and_tell  # type: ignore[method-assign]
        async with running(other) as client:
            for _ in range(2):
                looked.clear()
                await asyncio.wait_for(looked.wait(), WAIT_S)
            assert (await fetched(client, f"{PATH}/{queued['id']}"))["status"] == "in_progress"
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, served_model_name=["x"])
        async with running(services) as client:
            assert (await ended(client, queued["id"]))["model"] == "x"

    asyncio.run(run())


def test_cancelling(make_services: MakeServices, tmp_path: Path) -> None:
    """The engine's work ends, and the response stays cancelled; what has ended stays as it is."""
    held = Held()

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path)) as client:
            queued = await answered(client, input="Hi", background=True)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            path = f"{PATH}/{queued['id']}"
            cancelled = (await client.post(f"{path}/cancel")).json()
            strict_response(cancelled)
            assert cancelled == queued | {"status": "cancelled"}
            await asyncio.wait_for(held.engine.closed.wait(), WAIT_S)
            assert (await client.post(f"{path}/cancel")).json() == cancelled
            assert await fetched(client, path) == cancelled
            held.may_go_on.set()
            queued = await answered(client, input="Hi", background=True)
            response = await ended(client, queued["id"])
            assert (await client.post(f"{PATH}/{queued['id']}/cancel")).json() == response
            assert response["status"] == "completed"

    asyncio.run(run())


@pytest.mark.parametrize("deletes", [True, False])
def test_another_server_ends_it(make_services: MakeServices, tmp_path: Path, deletes: bool) -> None:
    """Whichever server is told: the one that works on it learns of it from the store."""
    held = Held()

    async def run() -> None:
        async with (
            running(make_services(held.engine, state=tmp_path)) as working,
            running(make_services(ScriptedEngine(), state=tmp_path)) as other,
        ):
            queued = await answered(working, input="Hi", background=True)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            path = f"{PATH}/{queued['id']}"
            told = await (other.delete(path) if deletes else other.post(f"{path}/cancel"))
            assert told.status_code == 200
            await asyncio.wait_for(held.engine.closed.wait(), WAIT_S)
            found = await working.get(path)
            assert found.status_code == 404 if deletes else found.json() == told.json()

    asyncio.run(run())


def test_engines_that_end_over_it(make_services: MakeServices, tmp_path: Path) -> None:
    """After their first token: it is tried again once, and then has failed, lest it end all engines."""
    engine = ScriptedEngine([ANSWER[0], EngineEnded("It ended")])

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            queued = await answered(client, input="Hi", background=True)
            assert (await ended(client, queued["id"]))["status"] == "failed"

    asyncio.run(run())
    assert len(engine.generations) == background.MAX_ENDS


def test_it_waits_while_the_server_is_busy(make_services: MakeServices, tmp_path: Path) -> None:
    """Whatever says nothing of the response itself is no failure of it."""
    engine = ScriptedEngine(ANSWER)
    refusals = [Overloaded("full", retry_after_s=0), EngineUnavailable("no engine")]

    async def admit(request: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await ScriptedEngine.admit(engine, request)

    engine.admit = admit  # type: ignore[method-assign]

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            queued = await answered(client, input="Hi", background=True)
            assert (await ended(client, queued["id"]))["status"] == "completed"

    asyncio.run(run())
    assert refusals == []


def test_it_waits_for_the_store(make_services: MakeServices, tmp_path: Path) -> None:
    """An answer that cannot be stored yet is stored later."""
    engine = ScriptedEngine(ANSWER)
    failures = [StoreFailure("gone"), StoreFailure("gone")]

    async def run() -> None:
        services = make_services(engine, state=tmp_path)
        store = services.store
        assert store is not None
        save = store.save_response

        async def save_at_last(response: Any, items: Any) -> bool:
            if response.status == "completed" and failures:
                raise failures.pop()
            return await save(response, items)

        store.save_response = save_at_last  # type: ignore[method-assign]
        async with running(services) as client:
            queued = await answered(client, input="Hi", background=True)
            assert (await ended(client, queued["id"]))["status"] == "completed"

    asyncio.run(run())
    assert (failures, len(engine.generations)) == ([], 1)


@pytest.mark.parametrize(
    ("steps", "body", "code", "message"),
    [
        ([EngineFailure("it broke")], {"input": "Hi"}, "server_error", "it broke"),
        ([ZeroDivisionError()], {"input": "Hi"}, "server_error", "The server failed on this request"),
        (
            ANSWER,
            {"input": BROKEN},
            "invalid_image",
            "input[0].content[0].image_url: ",
        ),
        (ANSWER, {"input": "word " * 9000}, "invalid_prompt", ""),
    ],
)
def test_a_failure_is_the_response_s(
    make_services: MakeServices, tmp_path: Path, steps: Any, body: dict[str, Any], code: str, message: str
) -> None:
    """It is told where the answer would be, with the place of what is at fault."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(steps), state=tmp_path)) as client:
            queued = await answered(client, background=True, **body)
            response = await ended(client, queued["id"])
            strict_response(response)
            assert (response["status"], response["error"]["code"]) == ("failed", code)
            assert response["error"]["message"].startswith(message)

    asyncio.run(run())


def test_a_conversation_gets_it(make_services: MakeServices, tmp_path: Path) -> None:
    """In the end; one that is gone by then makes it a failure."""
    held = Held()

    async def run() -> None:
        async with running(make_services(held.engine, state=tmp_path)) as client:
            name = (await answered(client, "/v1/conversations"))["id"]
            queued = await answered(client, input="Hi", background=True, conversation=name)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            assert (await fetched(client, f"/v1/conversations/{name}/items"))["data"] == []
            held.may_go_on.set()
            response = await ended(client, queued["id"])
            items = (await fetched(client, f"/v1/conversations/{name}/items", order="asc"))["data"]
            assert items[1:] == response["output"]
            held.may_go_on.clear()
            held.reached.clear()
            queued = await answered(client, input="Hi", background=True, conversation=name)
            await asyncio.wait_for(held.reached.wait(), WAIT_S)
            await client.delete(f"/v1/conversations/{name}")
            held.may_go_on.set()
            response = await ended(client, queued["id"])
            assert (response["status"], name in response["error"]["message"]) == ("failed", True)

    asyncio.run(run())
