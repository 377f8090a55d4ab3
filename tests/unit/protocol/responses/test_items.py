"""Items of `input`: what is taken, and what is refused by name and path."""

import json

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.items import AssistantItem, FunctionCallItem, SystemItem, UserItem
from phiserve.protocol.responses.request import ResponsesRequest

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "phase": None,
    "content": [{"type": "output_text", "text": "a", "annotations": [], "logprobs": []}],
}
"""An answer as clients send it back."""


def parsed(*items: object) -> ResponsesRequest:
    return parse_request(json.dumps({"input": items}).encode(), ResponsesRequest)


def user(*parts: object) -> dict[str, object]:
    return {"role": "user", "content": parts}


def test_messages_of_all_roles() -> None:
    """Plain ones, typed ones, and answers as they were given."""
    text = {"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}
    image = {"type": "input_image", "image_url": "data:x", "detail": "low", "file_id": None}
    items = parsed(
        {"role": "system", "content": "s"},
        {"role": "developer", "content": [text]},
        user(text, image),
        ANSWER,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "user", "content": "Hi", "type": "message", "status": "completed"},
    ).input
    assert isinstance(items, tuple)
    assert [type(item) for item in items] == [
        SystemItem,
        SystemItem,
        UserItem,
        AssistantItem,
        AssistantItem,
        UserItem,
    ]


def test_what_a_client_parsed_comes_back_without_effect() -> None:
    """openai-node leaves it in what it sends back; only the text and the arguments are read."""
    text = {"type": "output_text", "text": "1", "annotations": [], "parsed": 1}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "parsed_arguments": {}}
    items = parsed({"role": "assistant", "content": [text]}, call).input
    assert isinstance(items, tuple)
    assert [type(item) for item in items] == [AssistantItem, FunctionCallItem]


def test_what_clients_write_beside() -> None:
    """Keys that have no meaning here may be empty; an earlier answer may have said nothing."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": ""}
    plain = parsed(
        {"role": "assistant", "content": []}, user({"type": "input_text", "text": "a"}), call, output
    )
    text = {"type": "input_text", "text": "a", "annotations": None}
    items = [
        {"role": "assistant", "content": []},
        user(text),
        call | {"provider_data": {}},
        output | {"x": []},
    ]
    assert parsed(*items).input == plain.input


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            {"role": "tool", "content": "x"},
            "input[1]: role must be one of user, assistant, system, developer",
        ),
        (5, "input[1]: role must be one of user, assistant, system, developer"),
        (
            {"type": "web_search_call", "id": "x"},
            "input[1]: items of type 'web_search_call' are not supported; type must be one of message,",
        ),
        (
            user({"type": "input_audio"}),
            "input[1].content[0]: type must be one of input_text, input_image, input_file; audio",
        ),
        (
            user({"type": "input_image", "file_id": "f", "image_url": "data:x"}),
            "input[1].content[0].image_url: image_url and file_id exclude each other",
        ),
        (
            user({"type": "input_image", "file_id": 1}),
            "input[1].content[0].file_id: must be a string",
        ),
        (
            user({"type": "input_image", "detail": "auto"}),
            "input[1].content[0].image_url: this field is required",
        ),
        (
            user({"type": "input_text", "text": "a", "x": 1}),
            "input[1].content[0].x: this parameter is unknown",
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text"}]},
            "input[1].output[0].text: this field is required",
        ),
        (user(), "input[1].content: "),
        ({"role": "user", "content": 5}, "input[1].content: "),
        ({"role": "system", "content": [{"type": "input_image"}]}, "input[1].content[0].type: "),
    ],
)
def test_refusals(item: object, message: str) -> None:
    """Each names the place as the client wrote it."""
    with pytest.raises(InvalidRequest) as refusal:
        parsed({"role": "user", "content": "Hi"}, item)
    assert refusal.value.message.startswith(message)
