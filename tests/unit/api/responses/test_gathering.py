"""Conversations that are stored: continuing one is as sending all of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images import data_url, encode, noise
from phiserve.api.services import Services
from scripted import ScriptedEngine, delta
from stateful import PATH, answered, fetched, running
from wire import ANSWER

MakeServices = Callable[..., Services]
SHOWN: Any = [
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": data_url(encode(noise(40, 40)))},
            {"type": "input_text", "text": "What is it?"},
        ],
    }
]
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}
CALLED = ' functools[{"name":"look","arguments":{}}]'


def prompts(engine: ScriptedEngine) -> list[Any]:
    """The ids of each prompt, and where its images are and what they are."""
    return [
        (generation.prompt_ids, [(image.key, image.offset) for image in generation.images])
        for generation in engine.generations
    ]


def test_a_response_is_continued(make_services: MakeServices, tmp_path: Path) -> None:
    """The prompt is the one of the whole conversation as input, images included; instructions are new."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            first = await answered(client, input=SHOWN, instructions="Be brief")
            second = await answered(client, input="And now?", previous_response_id=first["id"])
            third = await answered(
                client, input=SHOWN, previous_response_id=second["id"], instructions="Be kind"
            )
            assert third["previous_response_id"] == second["id"]
            said = [*SHOWN, *first["output"], {"role": "user", "content": "And now?"}]
            await answered(client, input=said, store=False)
            await answered(client, input=[*said, *second["output"], *SHOWN], instructions="Be kind")
            counted = await answered(
                client, f"{PATH}/input_tokens", input="And now?", previous_response_id=first["id"]
            )
            assert counted["input_tokens"] == second["usage"]["input_tokens"]

    asyncio.run(run())
    _, second, third, *whole = prompts(engine)
    assert [second, third] == whole


def test_a_call_is_answered(make_services: MakeServices, tmp_path: Path) -> None:
    """Its result alone is sent, and is known as that call's."""
    engine = ScriptedEngine([delta(CALLED, ids=[5], finish="stop")])

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            first = await answered(client, input="Hi", tools=[TOOL])
            (call,) = first["output"]
            result = {"type": "function_call_output", "call_id": call["call_id"], "output": "red"}
            await answered(client, input=[result], previous_response_id=first["id"], tools=[TOOL])
            await answered(client, input=[{"role": "user", "content": "Hi"}, call, result], tools=[TOOL])

    asyncio.run(run())
    _, continued, whole = prompts(engine)
    assert continued == whole


def test_a_conversation_grows(make_services: MakeServices, tmp_path: Path) -> None:
    """Each response adds its input and its answer; what is added otherwise counts as well."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            conversation = await answered(client, "/v1/conversations", items=SHOWN, metadata={"a": "b"})
            path = f"/v1/conversations/{conversation['id']}/items"
            first = await answered(client, conversation=conversation["id"])
            assert first["conversation"] == {"id": conversation["id"]}
            await answered(client, input="And now?", conversation={"id": conversation["id"]})
            await answered(client, path, items=[{"role": "user", "content": "So?"}])
            await answered(client, conversation=conversation["id"])
            items = (await fetched(client, path, order="asc"))["data"]
            roles = [item["role"] for item in items]
            assert roles == ["user", "assistant", "user", "assistant", "user", "assistant"]
            assert len({item["id"] for item in items}) == 6
            await answered(client, input=items[:-1], store=False)

    asyncio.run(run())
    *_, last, whole = prompts(engine)
    assert last == whole


def test_a_reference_stands_for_its_item(make_services: MakeServices, tmp_path: Path) -> None:
    """Answers that are sent back by their ids alone, as the AI SDK does."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            first = await answered(client, input=SHOWN)
            items = (await fetched(client, f"{PATH}/{first['id']}/input_items"))["data"]
            (message,) = first["output"]
            references = [{"type": "item_reference", "id": items[0]["id"]}, {"id": message["id"]}]
            then = {"role": "user", "content": "Why?"}
            second = await answered(client, input=[*references, then])
            kept = (await fetched(client, f"{PATH}/{second['id']}/input_items", order="asc"))["data"]
            assert kept[:2] == [*items, message]
            await answered(client, input=[*SHOWN, message, then], store=False)
            refused = await client.post(
                PATH, json={"input": [then, {"type": "item_reference", "id": "msg_0"}]}
            )
            assert (refused.status_code, refused.json()["error"]["param"]) == (404, "input[1]")

    asyncio.run(run())
    _, second, whole = prompts(engine)
    assert second == whole


@pytest.mark.parametrize(
    ("field", "status", "code"),
    [("previous_response_id", 400, "previous_response_not_found"), ("conversation", 404, "not_found")],
)
def test_what_is_not_there(
    make_services: MakeServices, tmp_path: Path, field: str, status: int, code: str
) -> None:
    """In OpenAI's words and status; nothing is answered or stored."""
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        async with running(make_services(engine, state=tmp_path)) as client:
            response = await client.post(PATH, json={"input": "Hi", field: "x_1"})
            error = response.json()["error"]
            assert (response.status_code, error["param"], error["code"]) == (status, field, code)
            assert "with id 'x_1' not found." in error["message"]
            empty = await answered(client, "/v1/conversations")
            response = await client.post(PATH, json={"conversation": empty["id"]})
            assert (response.status_code, response.json()["error"]["param"]) == (400, "input")

    asyncio.run(run())
    assert engine.generations == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "Hi", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"input": "Hi", "conversation": "conv_1"}, "conversation"),
        ({"input": "Hi", "background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ],
)
def test_without_a_store(make_services: MakeServices, body: dict[str, Any], param: str) -> None:
    """What needs one is refused by the setting's name; all else is answered, whatever `store` says."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(ANSWER))) as client:
            await answered(client, input="Hi", store=True)
            refused = (await client.post(PATH, json=body)).json()["error"]
            assert (refused["param"], refused["code"]) == (param, "unsupported_parameter")
            assert "state_url" in refused["message"]

    asyncio.run(run())
