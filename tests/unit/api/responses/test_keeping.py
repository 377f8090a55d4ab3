"""What is stored of an answer, and when: before its client is told, or not at all."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.errors import EngineFailure, StoreFailure
from phiserve.store.interface import StoredItem, StoredResponse
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.sql_store import SqlStore
from responses_types import events_of, strict_response
from scripted import ScriptedEngine, delta
from stateful import PATH, WAIT_S, answered, fetched, running
from stored import busy, conversation, ids_in, left_alone
from unit.api.test_streaming import SCOPE, LeavingClient
from wire import ANSWER

MakeServices = Callable[..., Services]


def store_in(folder: Path) -> SqlStore:
    """The store that a test's services have."""
    store = open_store(f"sqlite:///{folder / 'state.db'}", StoreLimits())
    assert isinstance(store, SqlStore)
    return store


def failing(services: Services, status: str) -> Services:
    """The same services, whose store fails where a response of this status is to be saved."""
    store = services.store
    assert store is not None
    save = store.save_response

    async def save_unless(response: StoredResponse, items: Sequence[StoredItem]) -> bool:
        if response.status == status:
            raise StoreFailure("The disk is full")
        return await save(response, items)

    store.save_response = save_unless  # type: ignore[method-assign]
    return services


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_stored_before_it_is_told(
    make_services: MakeServices, tmp_path: Path, stream: bool
) -> None:
    """What the client was given is there after the process is gone, word for word."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            response = await client.post(PATH, json={"input": "Hi", "stream": stream})
            told = events_of(response.text)[-1]["response"] if stream else response.json()
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            assert await fetched(client, f"{PATH}/{told['id']}") == told
            strict_response(told)

    asyncio.run(run())


@pytest.mark.parametrize("status", ["in_progress", "completed"])
def test_an_answer_that_cannot_be_stored(make_services: MakeServices, tmp_path: Path, status: str) -> None:
    """Is no answer: 503 with a word for programs, and nothing is there."""

    async def run() -> None:
        services = failing(make_services(ScriptedEngine(ANSWER), state=tmp_path), status)
        async with running(services) as client:
            response = await client.post(PATH, json={"input": "Hi"})
            assert (response.status_code, response.json()["error"]["code"]) == (503, "store_unavailable")
            assert (await client.post(PATH, json={"input": "Hi", "store": False})).status_code == 200

    asyncio.run(run())


def test_a_stream_that_cannot_be_stored(make_services: MakeServices, tmp_path: Path) -> None:
    """Ends as failed, with the events numbered on; that it failed is stored as soon as that can be done."""

    async def run() -> None:
        services = failing(make_services(ScriptedEngine(ANSWER), state=tmp_path), "completed")
        async with running(services) as client:
            events = events_of((await client.post(PATH, json={"input": "Hi", "stream": True})).text)
            assert [event["type"] for event in events[-3:]] == [
                "response.output_item.done",
                "error",
                "response.failed",
            ]
            assert events[-2]["code"] == "store_unavailable"
            told = events[-1]["response"]
            assert await fetched(client, f"{PATH}/{told['id']}") == told

    asyncio.run(run())


def test_what_is_not_to_be_stored(make_services: MakeServices, tmp_path: Path) -> None:
    """`store` false."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            told = await answered(client, input="Hi", store=False)
            assert (await client.get(f"{PATH}/{told['id']}")).status_code == 404

    asyncio.run(run())


def test_a_stream_that_failed(make_services: MakeServices, tmp_path: Path) -> None:
    """Is stored as failed if its client has seen the beginning, and can't be continued."""
    engine = ScriptedEngine([ANSWER[0], EngineFailure("no")])

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            assert (await client.post(PATH, json={"input": "Hi"})).status_code == 500
            events = events_of((await client.post(PATH, json={"input": "Hi", "stream": True})).text)
            told = events[-1]["response"]
            assert (told["status"], told["error"]["code"]) == ("failed", "server_error")
            assert await fetched(client, f"{PATH}/{told['id']}") == told
            body = {"input": "So?", "previous_response_id": told["id"]}
            refused = (await client.post(PATH, json=body)).json()["error"]
            assert refused["message"].startswith("previous_response_id: the response is failed; ")

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_stays_of_a_client_that_hung_up(
    make_services: MakeServices, tmp_path: Path, stream: bool
) -> None:
    """It was in the store while it was answered; then nobody has its id."""

    async def run() -> None:
        reached = asyncio.Event()

        async def forever() -> None:
            reached.set()
            await asyncio.Event().wait()

        engine = ScriptedEngine([delta("a"), forever])  # type: ignore[list-item]
        services = make_services(engine, state=tmp_path)
        app = create_app(services)
        async with app.router.lifespan_context(app):
            client = LeavingClient({"input": "Hi", "stream": stream})
            answering = asyncio.create_task(app(SCOPE | {"path": PATH}, client.receive, client.send))
            await asyncio.wait_for(reached.wait(), WAIT_S)
            (running_id,) = [generation.request_id for generation in engine.generations]
            assert services.store is not None
            stored = await services.store.response("", running_id)
            assert stored is not None
            assert stored.status == json.loads(stored.payload)["status"] == "in_progress"
            client.gone.set()
            await asyncio.wait_for(answering, WAIT_S)
        store = store_in(tmp_path)
        assert await store.response("", running_id) is None
        assert await store.items("", stored.context) == ()
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_while_the_answer_is_stored(
    make_services: MakeServices, tmp_path: Path, stream: bool
) -> None:
    """All of it gets there, or nothing: what a conversation has is of a response that is there."""

    async def run() -> None:
        engine = ScriptedEngine(ANSWER)
        services = make_services(engine, state=tmp_path)
        store: Any = services.store
        await store.create_conversation(conversation(), [])
        save, is_saving = store.save_response, asyncio.Event()

        async def save_and_tell(response: StoredResponse, items: Sequence[StoredItem]) -> bool:
            if response.status != "completed":
                return bool(await save(response, items))
            async with busy(store):
                saving = asyncio.create_task(save(response, items))
                is_saving.set()
                await asyncio.sleep(0)
                client.gone.set()
                await asyncio.wait({answering}, timeout=WAIT_S)
            return bool(await saving)

        store.save_response = save_and_tell
        app = create_app(services)
        async with app.router.lifespan_context(app):
            client = LeavingClient({"input": "Hi", "stream": stream, "conversation": "conv_1"})
            answering = asyncio.create_task(app(SCOPE | {"path": PATH}, client.receive, client.send))
            await asyncio.wait_for(is_saving.wait(), WAIT_S)
            await asyncio.wait_for(answering, WAIT_S)
        (response_id,) = [generation.request_id for generation in engine.generations]
        assert await _status(tmp_path, response_id) == "completed"
        kept = store_in(tmp_path)
        found = await kept.response("", response_id)
        assert found is not None
        assert await ids_in(kept) == [*found.context, *found.output]
        await kept.close()

    asyncio.run(run())


def test_what_a_killed_server_was_answering(make_services: MakeServices, tmp_path: Path) -> None:
    """Somebody waited for it, at a server that is gone: the next one removes it."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER), state=tmp_path)) as client:
            told = await answered(client, input="Hi")
        store = store_in(tmp_path)
        left = await store.response("", told["id"])
        assert left is not None
        await store.save_response(replace(left, id="resp_left", status="in_progress", output=()), ())
        await left_alone(store, "resp_left")
        await store.close()
        services = make_services(ScriptedEngine(), state=tmp_path)
        async with running(services) as client:
            assert services.store is not None
            for _ in range(1000):
                if await services.store.response("", "resp_left") is None:
                    break
        assert await _status(tmp_path, "resp_left") is None
        assert await _status(tmp_path, told["id"]) == "completed"

    asyncio.run(run())


async def _status(folder: Path, response_id: str) -> Any:
    store = store_in(folder)
    found = await store.response("", response_id)
    await store.close()
    return None if found is None else found.status


def test_a_conversation_that_is_gone(make_services: MakeServices, tmp_path: Path) -> None:
    """A response that would belong to it is a 404, also where that happens while it is answered."""

    async def run() -> None:
        services = make_services(ScriptedEngine(), state=tmp_path)
        store = services.store
        assert store is not None
        async with running(services) as client:
            name = (await answered(client, "/v1/conversations"))["id"]

            async def vanish() -> None:
                assert await store.delete_conversation("", name)

            engine = services.engine
            assert isinstance(engine, ScriptedEngine)
            engine.steps = [vanish, *ANSWER]  # type: ignore[list-item]
            response = await client.post(PATH, json={"input": "Hi", "conversation": name})
            assert (response.status_code, response.json()["error"]["param"]) == (404, "conversation")

    asyncio.run(run())
