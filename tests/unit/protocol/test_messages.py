"""Every form of message is accepted as OpenAI's clients send it."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from phiserve.protocol.messages import (
    AssistantMessage,
    FunctionMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
    UserPart,
)

TEXT = {"type": "text", "text": "a"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}
CALL: dict[str, Any] = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"role": "system", "content": "a"}, SystemMessage),
        ({"role": "developer", "content": [TEXT]}, SystemMessage),
        (
            {"role": "user", "content": [TEXT, {"type": "image_url", "image_url": {"url": "data:"}}]},
            UserMessage,
        ),
        ({"role": "assistant", "content": [TEXT, {"type": "refusal", "refusal": "no"}]}, AssistantMessage),
        ({"role": "assistant", "content": None, "tool_calls": [CALL]}, AssistantMessage),
        ({"role": "tool", "content": [TEXT], "tool_call_id": "c"}, ToolMessage),
        ({"role": "tool", "content": None, "tool_call_id": "c", "name": "f"}, ToolMessage),
        ({"role": "tool", "content": [IMAGE], "tool_call_id": "c"}, ToolMessage),
        ({"role": "function", "content": "a", "name": "f"}, FunctionMessage),
        ({"role": "system", "content": "a", "name": "rules"}, SystemMessage),
        ({"role": "user", "content": "a", "name": "ada"}, UserMessage),
        ({"role": "assistant", "content": "a", "name": "bob"}, AssistantMessage),
    ],
)
def test_forms(message: dict[str, Any], kind: type) -> None:
    """Strings and part lists, every role, with a participant's name where OpenAI allows one."""
    assert isinstance(TypeAdapter(Message).validate_python(message), kind)


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_only_users_and_tools_show_images(role: str) -> None:
    """Instructions and answers are text."""
    with pytest.raises(ValueError, match="type"):
        TypeAdapter(Message).validate_python({"role": role, "content": [IMAGE]})


def test_a_uuid_stands_for_no_image() -> None:
    """vLLM's field: accepted beside an image, and no replacement for one."""
    parse_part = TypeAdapter(UserPart).validate_python
    part = parse_part(IMAGE | {"uuid": "sku-1"})
    assert part.model_dump(exclude={"uuid"}) == parse_part(IMAGE).model_dump(exclude={"uuid"})
    for image, words in (({"image_url": None}, "none is kept by its uuid"), ({}, "Field required")):
        with pytest.raises(ValidationError) as caught:
            parse_part({"type": "image_url", "uuid": "sku-1"} | image)
        (error,) = caught.value.errors()
        assert error["loc"] == (":image_url", "image_url")
        assert words in error["msg"]


REPLAYED: dict[str, list[object] | None] = {
    "annotations": [],
    "images": [],
    "thinking_blocks": None,
    "reasoning_details": [],
    "audio": None,
    "function_call": None,
    "provider_specific_fields": None,
}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "a", "refusal": None, "tool_calls": [], **REPLAYED},
        {"role": "assistant", "content": [], "reasoning_content": "hm", "tool_calls": [CALL | {"index": 0}]},
        {
            "role": "assistant",
            "content": "a",
            "reasoning": None,
            "provider_specific_fields": {"refusal": None},
        },
        {"role": "assistant", "content": "a", "reasoning": "hm", "provider_specific_fields": {}},
        {"role": "assistant", "function_call": CALL["function"]},
        {
            "role": "assistant",
            "content": '{"a":1}',
            "parsed": {"a": 1},
            "tool_calls": [CALL | {"function": CALL["function"] | {"parsed_arguments": {"a": 1}}}],
        },
        {"role": "user", "content": [TEXT | {"prompt_cache_breakpoint": {"mode": "explicit"}}]},
        {
            "role": "user",
            "content": [IMAGE | {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}],
        },
    ],
)
def test_histories_as_clients_keep_them(message: dict[str, Any]) -> None:
    """What clients keep beside an answer's words and calls passes where it asks for nothing."""
    TypeAdapter(Message).validate_python(message)


def with_keys(keys: dict[str, object]) -> list[dict[str, Any]]:
    """Messages of every role in which something has these keys as well: they, a part or a call."""
    function = CALL["function"]
    return [
        {"role": "system", "content": "a"} | keys,
        {"role": "user", "content": [TEXT | keys]},
        {"role": "user", "content": [IMAGE | keys]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"} | keys}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"} | keys]},
        {"role": "assistant", "tool_calls": [CALL | keys]},
        {"role": "assistant", "tool_calls": [CALL | {"function": function | keys}]},
        {"role": "tool", "content": "a", "tool_call_id": "c"} | keys,
        {"role": "function", "content": "a", "name": "f"} | keys,
    ]


@pytest.mark.parametrize("number", range(9))
def test_other_keys_may_be_empty(number: int) -> None:
    """Clients have one class for all roles and parts, and write all its keys. What says more is refused."""
    read = TypeAdapter(Message).validate_python
    plain = read(with_keys({})[number])
    nothings: tuple[object, ...] = (None, [], {})
    for empty in nothings:
        assert read(with_keys({"x": empty})[number]) == plain
    for value in (0, "", False, [None], {"a": None}):
        with pytest.raises(ValidationError, match="extra_forbidden"):
            read(with_keys({"x": value})[number])


@pytest.mark.parametrize(
    "field",
    [
        {"annotations": [{}]},
        {"images": [{}]},
        {"thinking_blocks": [{}]},
        {"audio": {"id": "a"}},
        {"provider_specific_fields": {"a": 1}},
    ],
)
def test_what_was_never_answered_is_refused(field: dict[str, Any]) -> None:
    """Annotations and audio are no part of any answer here."""
    with pytest.raises(ValueError, match=next(iter(field))):
        TypeAdapter(Message).validate_python({"role": "assistant", "content": "a", **field})
