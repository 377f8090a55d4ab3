"""What requests refer to is loaded as far as there is room for it, and no more than a body may have."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phiserve.api.body_budget import FREE_BYTES, BodyBudget, BodyShare
from phiserve.api.responses import background
from phiserve.api.responses.history import history_share
from phiserve.api.services import Services
from phiserve.errors import InvalidRequest
from scripted import ScriptedEngine
from stateful import PATH, WAIT_S, answered, ended, fetched, running, until
from stored import item
from wire import ANSWER

MakeServices = Callable[..., Services]
LARGE = "x" * 400_000


def said(text: str) -> dict[str, Any]:
    """A user's message."""
    return {"type": "message", "role": "user", "content": text}


def test_what_is_loaded_counts_until_it_is_understood() -> None:
    """All of it together, against the limit and the budget."""
    bodies = BodyBudget(100_000)
    with history_share(bodies, 120_000) as share:
        share.check_with([item("a", "x" * 120_000)])  # nothing is loaded: it came in a body
        share.admit(FREE_BYTES)
        share.admit(40_000)
        assert bodies.held_bytes == 40_000
        with pytest.raises(InvalidRequest, match="has 120001 bytes; the limit is 120000"):
            share.admit(120_001 - FREE_BYTES - 40_000)
        with pytest.raises(InvalidRequest, match=r"max_body_bytes"):
            share.check_with([item("a", "x" * 20_000)])
    assert bodies.held_bytes == 0


def test_a_history_larger_than_a_body(make_services: MakeServices, tmp_path: Path) -> None:
    """Is refused at the field that stands for it, as a body with all of it would be."""

    async def run() -> None:
        services = make_services(
            ScriptedEngine(ANSWER, context_tokens=500_000), state=tmp_path, max_body_bytes=20_000
        )
        async with running(services) as client:
            name = (await answered(client, "/v1/conversations"))["id"]
            ids: list[str] = []
            for _ in range(3):
                body = {"items": [said("x" * 8_000)]}
                added = await client.post(f"/v1/conversations/{name}/items", json=body)
                ids.append(added.json()["last_id"])
            references = [{"type": "item_reference", "id": one} for one in ids]
            too_much: list[tuple[dict[str, Any], str]] = [
                ({"input": "Hi", "conversation": name}, "conversation"),
                ({"input": references}, "input"),
                ({"input": [*references[:2], said("x" * 8_000)]}, "input"),
            ]
            for fields, param in too_much:
                refused = await client.post(PATH, json=fields)
                error = refused.json()["error"]
                assert (refused.status_code, error["code"]) == (400, "conversation_too_large")
                assert error["param"] == param
            first = await answered(client, input=[*references[:2], said("Hi")])
            told = await client.post(PATH, json={"input": "x" * 8_000, "previous_response_id": first["id"]})
            assert told.json()["error"]["param"] == "previous_response_id"
            assert services.bodies.held_bytes == 0

    asyncio.run(run())


def test_no_room_now(make_services: MakeServices, tmp_path: Path) -> None:
    """Nothing is loaded, and clients come again."""

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER, context_tokens=500_000), state=tmp_path)
        async with running(services) as client:
            name = (await answered(client, "/v1/conversations", items=[said(LARGE)]))["id"]
            items = f"/v1/conversations/{name}/items"
            (one,) = (await fetched(client, items))["data"]
            busy = BodyShare(services.bodies)
            busy.add(services.bodies.max_bytes - 100_000)
            refused = [
                await client.post(PATH, json={"input": "Hi", "conversation": name}),
                await client.post(PATH, json={"input": [{"type": "item_reference", "id": one["id"]}]}),
                await client.get(items),
                await client.get(f"{items}/{one['id']}"),
            ]
            assert [told.status_code for told in refused] == [429] * 4
            assert (await client.get(f"{items}?after={one['id']}")).json()["data"] == []
            busy.release()
            for path in (items, f"{items}/{one['id']}"):
                assert (await client.get(path)).status_code == 200
            assert services.bodies.held_bytes == 0

    asyncio.run(run())


def test_no_room_in_the_background(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits until there is."""
    monkeypatch.setattr(background, "RETRY_S", 0.01)

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER, context_tokens=500_000), state=tmp_path)
        async with running(services) as client:
            name = (await answered(client, "/v1/conversations", items=[said(LARGE)]))["id"]
            store: Any = services.store
            load = store.items
            is_loading = asyncio.Event()

            async def load_and_tell(*given: Any) -> Any:
                is_loading.set()
                return await load(*given)

            store.items = load_and_tell
            queued = await answered(client, input="Hi", background=True, conversation=name)
            busy = BodyShare(services.bodies)
            busy.add(services.bodies.max_bytes)
            for _ in range(2):
                is_loading.clear()
                await asyncio.wait_for(is_loading.wait(), WAIT_S)
            assert (await fetched(client, f"{PATH}/{queued['id']}"))["status"] == "queued"
            busy.release()
            assert (await ended(client, queued["id"]))["status"] == "completed"
            await until(lambda: services.bodies.held_bytes == 0)

    asyncio.run(run())


def test_pages_of_large_items(make_services: MakeServices, tmp_path: Path) -> None:
    """Are shorter than was asked for, and say that more follow."""

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, max_body_bytes=20_000)
        async with running(services) as client:
            name = (await answered(client, "/v1/conversations"))["id"]
            items = f"/v1/conversations/{name}/items"
            for _ in range(5):
                await answered(client, items, items=[said("x" * 8_000)])
            page = await fetched(client, items, limit="100", order="asc")
            assert (len(page["data"]), page["has_more"]) == (2, True)
            rest = await fetched(client, items, limit="2", order="asc", after=page["last_id"])
            last = await fetched(client, items, order="asc", after=rest["last_id"])
            assert (len(rest["data"]), len(last["data"]), last["has_more"]) == (2, 1, False)

    asyncio.run(run())
