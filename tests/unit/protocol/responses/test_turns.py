"""Items of `input` as turns, calls and results of tools among them."""

import json

import pytest

from phiserve.core import Conversation, ImagePlaceholder, Turn
from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.turns import build_conversation

CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "status": "completed"}


def built(**fields: object) -> Conversation:
    """The conversation of a request."""
    return of(parse_request(json.dumps({"input": "Hi"} | fields).encode(), ResponsesRequest))


def of(request: ResponsesRequest) -> Conversation:
    return build_conversation(request.input, request.instructions, request.tool_use)


def test_a_string_is_what_the_person_says() -> None:
    """Instructions come before it; empty ones are none."""
    assert built(instructions="") == Conversation((Turn("user", ("Hi",)),), "input")
    assert built(instructions="Be brief").turns == (
        Turn("system", ("Be brief",)),
        Turn("user", ("Hi",)),
    )


def test_items_become_turns() -> None:
    """Parts in their order, images by their path in the request."""
    content = [
        {"type": "input_image", "image_url": "data:x", "detail": "original"},
        {"type": "input_image", "image_url": "data:y"},
        {"type": "input_text", "text": "What?"},
    ]
    answer = [{"type": "output_text", "text": "A"}, {"type": "refusal", "refusal": "B"}]
    conversation = built(
        input=[
            {"role": "developer", "content": "s"},
            {"role": "user", "content": content},
            {"role": "assistant", "content": answer},
        ]
    )
    images = [
        ImagePlaceholder("data:x", "high", "input[1].content[0].image_url"),
        ImagePlaceholder("data:y", "auto", "input[1].content[1].image_url"),
    ]
    assert conversation.turns[0] == Turn("system", ("s",))
    assert conversation.images == tuple(images)
    assert conversation.turns[1].parts[-1] == "\nWhat?"
    assert conversation.turns[2] == Turn("assistant", ("A\nB",))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"instructions": "\ud800"}, "instructions"),
        ({"input": [{"role": "user", "content": "\ud800"}]}, "input[0].content"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "\ud800"}]}]},
            "input[0].content[0].text",
        ),
        (
            {"input": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "\ud800"}]}]},
            "input[0].content[0].refusal",
        ),
    ],
)
def test_text_that_is_not_unicode(fields: dict[str, object], param: str) -> None:
    """Half a surrogate pair, as a Python caller might build it: refused at its place."""
    with pytest.raises(InvalidRequest) as refusal:
        of(ResponsesRequest.model_validate({"input": "Hi"} | fields))
    assert refusal.value.param == param


def test_calls_and_results_become_turns() -> None:
    """Calls end the message before them; a result is told by its tool's name, with numbers among several."""
    conversation = built(
        input=[
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "I look."},
            CALL | {"arguments": '{"a": 1}'},
            CALL | {"arguments": "{}", "call_id": "call_2"},
            {"type": "function_call_output", "call_id": "call_2", "output": "two"},
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": [{"type": "input_image", "image_url": "data:x", "detail": "low"}],
            },
            {"type": "function_call_output", "call_id": "call_9", "output": "what"},
            CALL | {"arguments": "{}", "call_id": "call_3"},
        ]
    )
    look = '{"name":"look","arguments":'
    image = ImagePlaceholder("data:x", "low", "input[5].output[0].image_url")
    assert conversation.turns[1:] == (
        Turn("assistant", (f'I look.\nfunctools[{look}{{"a":1}}}},{look}{{}}}}]',)),
        Turn("user", ("Result of call 2, look:\ntwo",)),
        Turn("user", ("Result of call 1, look:\n", image, "\n")),
        Turn("user", ("Result of tool call call_9:\nwhat",)),
        Turn("assistant", (f"functools[{look}{{}}}}]",)),
    )


def test_tools_are_told_at_the_beginning() -> None:
    """After the instructions; not where none may be called."""
    tools = [{"type": "function", "name": "look"}]
    (told, _) = built(instructions="Be brief", tools=tools).turns
    assert told.role == "system"
    (text,) = told.parts
    assert isinstance(text, str)
    assert text.startswith("Be brief\n\nYou may call tools.")
    assert built(tools=tools, tool_choice="none") == built()
