"""What a request means where it is silent, and how much it may hold."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from phiserve.errors import InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.parsing import parse_request


def parse(**fields: Any) -> ChatCompletionRequest:
    """A request with these fields."""
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    )


def test_openai_defaults() -> None:
    """Silence and null mean OpenAI's defaults."""
    silent = parse()
    nulls = parse(
        temperature=None, top_p=None, n=None, stop=None, stream=None, max_tokens=None, logprobs=None
    )
    assert (silent.temperature, silent.top_p, silent.num_choices, silent.stop, silent.output_limit) == (
        1,
        1,
        1,
        (),
        None,
    )
    assert (nulls.num_choices, nulls.stop, nulls.output_limit, nulls.stream) == (1, (), None, None)
    assert parse(stop="x").stop == ("x",)
    assert parse(max_completion_tokens=3).output_limit == 3
    assert parse(temperature=1).temperature == 1.0


USER = {"role": "user", "content": "Hi"}
BODY: dict[str, Any] = {"model": "m", "messages": [USER]}


def refusal(fields: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(json.dumps(BODY | fields).encode(), ChatCompletionRequest)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{}] * 30_000}, "messages[0]"),
        ({"messages": [{"role": "user"}] * 10_000}, "messages[0].content"),
        ({"messages": [USER, {"role": "user", "content": [{}] * 30_000}]}, "messages[1].content[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}] * 30_000}]}, "messages[0].tool_calls[0].id"),
        ({"stop": [1] * 30_000}, "stop[0]"),
        ({"stop_token_ids": [""] * 30_000}, "stop_token_ids[0]"),
        ({"structured_outputs": {"choice": [1] * 30_000}}, "structured_outputs.choice[0]"),
        ({"metadata": dict.fromkeys(map(str, range(30_000)), 1)}, "metadata.0"),
        ({"logit_bias": dict.fromkeys(map(str, range(30_000)), "")}, "logit_bias.0"),
    ],
)
def test_the_first_mistake_ends_the_search(fields: dict[str, Any], param: str) -> None:
    """A mistake for each of very many items would take seconds and gigabytes."""
    with pytest.raises(ValidationError) as caught:
        ChatCompletionRequest.model_validate(BODY | fields)
    assert caught.value.error_count() <= 4  # of one item's fields, and that nothing valid is in the list
    assert refusal(fields).param == param


MANY = dict.fromkeys(map("x{}".format, range(5000)), 1)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (MANY, None),
        ({"messages": [USER, USER | MANY]}, "messages[1]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""} | MANY]}]},
            "messages[0].content[0]",
        ),
        ({"response_format": {"type": "text"} | MANY}, "response_format"),
        ({"metadata": dict.fromkeys(MANY, ""), "stream": True, "stream_options": MANY}, "stream_options"),
    ],
)
def test_objects_of_very_many_fields(fields: dict[str, Any], param: str | None) -> None:
    """Are refused as such: each field would be a mistake."""
    error = refusal(fields)
    assert (error.param, error.code) == (param, "invalid_value")
    assert "fields; no object of a request has more than 100" in error.message


def test_names_of_the_clients_may_be_many() -> None:
    """Metadata, and the tokens of a bias."""
    bias = dict.fromkeys(map(str, range(5000)), 1)
    fields = {"metadata": dict.fromkeys(MANY, ""), "logit_bias": bias}
    assert parse_request(json.dumps(BODY | fields).encode(), ChatCompletionRequest).logit_bias == bias


def test_bodies_of_very_many_values() -> None:
    """Are refused before they are decoded."""
    error = refusal({"messages": [{}] * 300_000})
    assert (error.status, error.param, error.code) == (400, None, "invalid_value")
    assert error.message == "The body holds more than 100000 JSON values"


ASSISTANT = {"role": "assistant", "content": "The picture"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
GO_ON: dict[str, Any] = {"messages": [USER, ASSISTANT], "continue_final_message": True}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"continue_final_message": True}, "continue_final_message"),
        (GO_ON | {"messages": [USER, ASSISTANT, USER]}, "continue_final_message"),
        (GO_ON | {"messages": [USER, ASSISTANT | {"tool_calls": [CALL]}]}, "continue_final_message"),
        (GO_ON | {"messages": [ASSISTANT | {"function_call": CALL["function"]}]}, "continue_final_message"),
        (GO_ON | {"add_generation_prompt": True}, "add_generation_prompt"),
        (GO_ON | {"tools": TOOLS}, "continue_final_message"),
        ({"add_generation_prompt": False}, "add_generation_prompt"),
        ({"continue_final_message": False, "add_generation_prompt": False}, "add_generation_prompt"),
        ({"echo": True, "tools": TOOLS}, "echo"),
        ({"echo": True, "logprobs": True}, "echo"),
    ],
)
def test_what_cannot_be_gone_on_with(fields: dict[str, Any], param: str) -> None:
    """Each is refused by its name."""
    error = refusal(fields)
    assert (error.param, error.code) == (param, "invalid_value")


@pytest.mark.parametrize(
    "fields",
    [
        GO_ON,
        GO_ON | {"add_generation_prompt": False, "echo": True},
        GO_ON | {"tools": TOOLS, "tool_choice": "none", "response_format": {"type": "json_object"}},
        {"add_generation_prompt": True, "continue_final_message": False, "echo": False},
        {"echo": True},
        {"echo": None, "continue_final_message": None, "add_generation_prompt": None},
    ],
)
def test_what_can_be_gone_on_with(fields: dict[str, Any]) -> None:
    """The last message, under vLLM's rules; its defaults ask for nothing."""
    request = ChatCompletionRequest.model_validate(BODY | fields)
    assert bool(request.continue_final_message) is ("messages" in fields)
