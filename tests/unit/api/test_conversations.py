"""Conversations by themselves: begun, changed, listed, deleted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types.conversations import Conversation, ConversationDeletedResource, ConversationItemList

from key_files import bearer, write_keys
from phiserve.api.services import Services
from responses_types import Specification
from scripted import ScriptedEngine
from stateful import answered, fetched, running
from wire import ANSWER, call

MakeServices = Callable[..., Services]
PATH = "/v1/conversations"
ITEMS: Any = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "red"},
]


def test_a_conversation(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """In OpenAI's forms, from its beginning to its end."""
    specification = Specification(reference)

    async def run() -> None:
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            begun = await answered(client, PATH, items=ITEMS, metadata={"topic": "a"})
            path = f"{PATH}/{begun['id']}"
            assert await fetched(client, path) == begun
            changed = await answered(client, path, metadata={"topic": "b"})
            assert changed == begun | {"metadata": {"topic": "b"}}
            assert (await answered(client, path, metadata=None))["metadata"] == {}
            for told in (begun, changed):
                specification.validate("ConversationResource", told)
                Conversation.model_validate(told, strict=True)
            deleted = (await client.delete(path)).json()
            specification.validate("DeletedConversationResource", deleted)
            ConversationDeletedResource.model_validate(deleted, strict=True)
            for method in ("GET", "POST", "DELETE"):
                response = await client.request(method, path, json={"metadata": None})
                message = f"Conversation with id '{begun['id']}' not found."
                assert (response.status_code, response.json()["error"]["message"]) == (404, message)

    asyncio.run(run())


def test_items(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """Added, listed in pages, shown and taken out."""
    specification = Specification(reference)

    async def run() -> None:
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            begun = await answered(client, PATH, items=ITEMS[:1])
            path = f"{PATH}/{begun['id']}/items"
            added = await answered(client, path, items=ITEMS[1:])
            whole = await fetched(client, path, order="asc")
            for told in (added, whole):
                specification.validate("ConversationItemList", told)
                ConversationItemList.model_validate(told, strict=True)
            assert whole["data"][1:] == added["data"]
            assert (await fetched(client, path))["data"] == whole["data"][::-1]
            page = await fetched(client, path, limit="1", after=whole["data"][3]["id"])
            assert (page["data"], page["has_more"]) == (whole["data"][2:3], True)
            one = f"{path}/{whole['data'][0]['id']}"
            assert await fetched(client, one) == whole["data"][0]
            assert (await client.delete(one)).json() == begun
            assert (await fetched(client, path, order="asc"))["data"] == added["data"]
            for method in ("GET", "DELETE"):
                assert (await client.request(method, one)).status_code == 404

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"items": ITEMS * 6}, "items"),
        ("", {"metadata": {"a": "b" * 513}}, "metadata.a"),
        ("", {"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ("", {"items": [{"role": "user"}]}, "items[0].content"),
        ("", {"items": [{"type": "item_reference", "id": "msg_1"}]}, "items[0]"),
        ("/conv_1", {}, "metadata"),
        ("/conv_1/items", {"items": []}, "items"),
        ("/conv_1/items", {"items": ITEMS, "item": 1}, "item"),
    ],
)
def test_refusals(
    make_services: MakeServices, tmp_path: Path, path: str, body: dict[str, Any], param: str
) -> None:
    """Each names its place."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            response = await client.post(PATH + path, json=body)
            assert (response.status_code, response.json()["error"]["param"]) == (400, param)

    asyncio.run(run())


def test_to_its_owner_alone(make_services: MakeServices, tmp_path: Path) -> None:
    """Another's does not exist, and without a key nothing does. What is written counts as a request."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={"requests_per_minute": 1})
    alice, bob = bearer("alice"), bearer("bob")

    async def run() -> None:
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            assert (await client.post(PATH, json={})).status_code == 401
            begun = (await client.post(PATH, json={"items": ITEMS}, headers=alice)).json()
            path = f"{PATH}/{begun['id']}"
            for at in (path, f"{path}/items", f"{path}/items/msg_1"):
                assert (await client.get(at, headers=bob)).status_code == 404
                assert (await client.get(at)).status_code == 401
            assert (await client.post(PATH, json={}, headers=bob)).status_code == 200
            assert (await client.post(path, json={"metadata": {}}, headers=bob)).status_code == 429
            assert (await client.get(path, headers=alice)).json() == begun

    asyncio.run(run())


def test_without_a_store(make_services: MakeServices) -> None:
    """The setting is named."""
    response = call(make_services(ScriptedEngine()), "POST", PATH, json={})
    assert (response.status_code, "state_url" in response.json()["error"]["message"]) == (404, True)


def test_the_document_has_them(make_services: MakeServices) -> None:
    """Bodies and answers."""
    document = call(make_services(ScriptedEngine()), "GET", "/openapi.json").json()
    body = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]
    assert body == {"schema": {"$ref": "#/components/schemas/NewConversation"}}
    assert "model" not in document["components"]["schemas"]["NewConversation"]["properties"]
