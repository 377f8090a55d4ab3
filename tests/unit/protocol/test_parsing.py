"""Requests are validated strictly, and errors name the place as a client would write it."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessage
from pydantic import ValidationError
from pydantic_core import from_json

from phiserve.errors import MAX_ECHO_CHARACTERS, InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.messages import ROLES
from phiserve.protocol.parsing import parse_off_loop, parse_request

USER = {"role": "user", "content": "Hi"}


def parse(**fields: Any) -> Any:
    body = json.dumps({"model": "m", "messages": [USER]} | fields).encode()
    return parse_request(body, ChatCompletionRequest)


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    return caught.value


def content(*parts: Any) -> list[Any]:
    return [USER, {"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "Hi"}, "messages", "invalid_type"),
        ({"messages": [USER, {"role": "robot", "content": ""}]}, "messages[1]", "invalid_value"),
        ({"messages": [USER, {"content": ""}]}, "messages[1]", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "invalid_value"),
        ({"messages": [{"role": "user", "content": "", "x": 1}]}, "messages[0].x", "unknown_parameter"),
        ({"messages": content({"type": "video"})}, "messages[1].content[0]", "invalid_value"),
        (
            {"messages": content({"type": "text"})},
            "messages[1].content[0].text",
            "missing_required_parameter",
        ),
        ({"messages": content({"type": "text", "text": 1})}, "messages[1].content[0].text", "invalid_type"),
        (
            {"messages": content({"type": "image_url", "image_url": "data:"})},
            "messages[1].content[0].image_url",
            "invalid_type",
        ),
        (
            {"messages": content({"type": "image_url", "image_url": {"url": "", "detail": "max"}})},
            "messages[1].content[0].image_url.detail",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "tool", "content": ""}]},
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": 2.5}, "temperature", "invalid_value"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"top_p": -0.1}, "top_p", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"max_tokens": 4, "max_completion_tokens": 5}, "max_tokens", "invalid_value"),
        ({"max_tokens": 4, "min_tokens": 5}, "min_tokens", "invalid_value"),
        ({"stop": ["a"] * 5}, "stop", "invalid_value"),
        ({"stop": ["a", ""]}, "stop[1]", "invalid_value"),
        ({"stop": 3}, "stop", "invalid_type"),
        ({"logit_bias": {"a": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"7": 101}}, "logit_bias.7", "invalid_value"),
        ({"top_logprobs": 2}, "top_logprobs", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x", "unknown_parameter"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            "unsupported_parameter",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {}}]},
            "messages[0].function_call.name",
            "missing_required_parameter",
        ),
        ({"tools": [{}]}, "tools[0].type", "missing_required_parameter"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"seed": 2**63}, "seed", "invalid_value"),
        ({"top_k": 10**20}, "top_k", "invalid_value"),
        ({"min_tokens": 10**20}, "min_tokens", "invalid_value"),
        ({"max_tokens": 10**20}, "max_tokens", "invalid_value"),
        ({"stop_token_ids": [10**20]}, "stop_token_ids[0]", "invalid_value"),
        ({"messages": [USER] * 10_001}, "messages", "invalid_value"),
        (
            {"messages": content(*[{"type": "text", "text": ""}] * 1001)},
            "messages[1].content",
            "invalid_value",
        ),
    ],
)
def test_errors_name_the_place(fields: dict[str, Any], param: str, code: str) -> None:
    """Path, code and type of each kind of mistake."""
    error = refusal(**fields)
    assert (error.param, error.code) == (param, code)
    assert (error.status, error.type) == (400, "invalid_request_error")
    assert error.message.startswith(f"{param}: ")


@pytest.mark.parametrize("name", ["str", "int", "a[b", ":x", ":user", "[key]", ""])
def test_names_that_look_like_something_else(name: str) -> None:
    """A field that a client made up is named, whatever its name."""
    image = {"type": "image_url", "image_url": {"url": "", name: 1}}
    call = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}, name: 1}
    found: dict[str, dict[str, Any]] = {
        name: {name: 1},
        f"messages[0].{name}": {"messages": [{"role": "tool", "tool_call_id": "", "content": "", name: 1}]},
        f"messages[1].content[0].{name}": {"messages": content({"type": "text", "text": "", name: 1})},
        f"messages[1].content[0].image_url.{name}": {"messages": content(image)},
        f"messages[0].tool_calls[0].{name}": {"messages": [{"role": "assistant", "tool_calls": [call]}]},
        f"response_format.{name}": {"response_format": {"type": "text", name: 1}},
        f"metadata.{name}": {"metadata": {name: 5}},
        f"logit_bias.{name}": {"logit_bias": {name: "much"}},
    }
    for param, fields in found.items():
        error = refusal(**fields)
        assert (error.param, error.message.startswith(f"{param}: ")) == (param, True)


@pytest.mark.parametrize(
    "fields", [{"x" * 100_000: 1}, {"logit_bias": {"x" * 100_000: 1}}, {"logit_bias": {"7" * 100_000: 101}}]
)
def test_what_is_echoed_is_cut(fields: dict[str, Any]) -> None:
    """A client that sends a long name does not get all of it back."""
    error = refusal(**fields)
    assert len(error.param or "") <= MAX_ECHO_CHARACTERS
    assert len(error.message) < 1000
    assert "…" in error.message


def test_a_byte_order_mark_is_no_matter() -> None:
    """Some programs begin UTF-8 with one; a second is a mistake."""
    body = b"\xef\xbb\xbf" + json.dumps({"model": "m", "messages": [USER]}).encode()
    assert parse_request(body, ChatCompletionRequest) == parse()
    assert asyncio.run(parse_off_loop(body, ChatCompletionRequest)) == parse()
    with pytest.raises(InvalidRequest):
        parse_request(body[:3] + body, ChatCompletionRequest)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"model": "\xff"}', b'{"a": "\\ud800"}']
)
def test_what_is_no_object(body: bytes) -> None:
    """Anything but a JSON object of valid UTF-8 is a 400, too."""
    with pytest.raises(InvalidRequest):
        parse_request(body, ChatCompletionRequest)


def test_deep_nesting_is_refused() -> None:
    """A body that would overflow a recursive parser is an error like any other."""
    with pytest.raises(InvalidRequest):
        parse_request(b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ChatCompletionRequest)


def test_an_answer_comes_back_as_the_openai_client_writes_it_out() -> None:
    """`message.model_dump()` of an answer is a message of the next request."""
    answer = ChatCompletionMessage(role="assistant", content="Hello.").model_dump()
    assert answer["function_call"] is None
    assert parse(messages=[USER, answer, USER]).messages[1].content == "Hello."


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
LONG_TEXT = {"type": "text", "text": "x" * 20_000}


@pytest.mark.parametrize(
    ("fields", "on_the_loop"),
    [
        ({"messages": content(IMAGE)}, True),
        ({"messages": content(IMAGE), "response_format": None}, True),
        ({"messages": content(IMAGE), "structured_outputs": {"regex": "a"}}, False),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, False),
        ({"functions": [{"name": "f"}]}, False),
        ({"response_format": {"type": "json_object"}}, False),
        ({"messages": content(*[LONG_TEXT] * 20)}, False),
    ],
    ids=["an image", "no format", "a constraint", "tools", "functions", "a format", "long"],
)
def test_where_a_body_is_validated(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], on_the_loop: bool
) -> None:
    """What may take long goes to a thread; the request is the same."""
    threads = []

    async def to_thread(work: Any, *arguments: Any) -> Any:
        """Runs it, and remembers that."""
        threads.append(work)
        return work(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    body = json.dumps({"model": "m", "messages": [USER]} | fields).encode()
    assert asyncio.run(parse_off_loop(body, ChatCompletionRequest)) == parse_request(
        body, ChatCompletionRequest
    )
    assert bool(threads) is not on_the_loop


@pytest.mark.parametrize("body", [b"[]", b"{", b"null"])
def test_what_is_no_object_is_refused_aside_too(body: bytes) -> None:
    """The checks before validation expect nothing of a body."""
    with pytest.raises(InvalidRequest):
        asyncio.run(parse_off_loop(body, ChatCompletionRequest))


def test_errors_speak_of_json() -> None:
    """Not of Python's types, although what is valid is read as Python's."""
    assert refusal(messages={}).message == "messages: must be an array"
    assert refusal(stream=True, stream_options=[]).message == "stream_options: must be an object"


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**70, 1.0, 0.5, float("inf")),
    *("", "a", "1", "auto", [], ["a"], [1], [[]], {}, {"a": 1}, {"5": 1.0}),
    *(
        {"type": "text"},
        {"regex": "a+"},
        {"choice": ["a", "b"]},
        {"include_usage": True},
        {"include_obfuscation": 0},
    ),
    {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"type": "object", "properties": {"a": {"type": "null"}}}},
    },
)


CONTENTS: tuple[Any, ...] = (
    *(None, 1, "a", [], ["a"], {"type": "text"}),
    *([{"type": "text", "text": "a"}], [{"type": "text", "text": 1}]),
    *(
        [{"type": "image_url", "image_url": {"url": "u", "detail": "low"}}],
        [{"type": "image_url", "image_url": "u"}],
    ),
    [{"type": "refusal", "refusal": "no"}],
)
EXTRAS: tuple[dict[str, Any], ...] = (
    *({}, {"name": "n"}, {"tool_call_id": "1"}, {"refusal": None}, {"tool_calls": None}, {"unknown": 1}),
    {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
)


@pytest.mark.parametrize(
    "role", ["system", "developer", "user", "assistant", "tool", "function", "nobody", 1, None]
)
def test_what_messages_are_valid_is_so_in_both_readings(role: Any) -> None:
    """Parts and tool calls too."""
    found = set()
    for part, extra in product(CONTENTS, EXTRAS):
        body = json.dumps({"model": "m", "messages": [{"role": role, "content": part} | extra]}).encode()
        decoded = accepted(ChatCompletionRequest.model_validate, from_json(body))
        assert repr(decoded) == repr(accepted(ChatCompletionRequest.model_validate_json, body))
        found.add(decoded is None)
    assert found == ({True, False} if role in ROLES else {True})


@pytest.mark.parametrize("field", ChatCompletionRequest.model_fields)
def test_what_is_valid_is_so_in_both_readings(field: str) -> None:
    """pydantic is more lenient with Python's values than with JSON in places; none of ours is among them."""
    for value in VALUES:
        body = json.dumps(
            {"model": "m", "messages": [USER], "stream": True, "logprobs": True} | {field: value}
        )
        decoded = accepted(ChatCompletionRequest.model_validate, from_json(body))
        assert repr(decoded) == repr(accepted(ChatCompletionRequest.model_validate_json, body))


def accepted(validate: Callable[[Any], ChatCompletionRequest], source: Any) -> ChatCompletionRequest | None:
    """What becomes of it, if anything."""
    with suppress(ValidationError):
        return validate(source)
    return None
