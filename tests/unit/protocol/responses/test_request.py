"""The body of a Responses request: fields as a whole."""

import json

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import LOGPROBS, ResponsesRequest

LOOK = {"type": "function", "name": "look"}


def parsed(**fields: object) -> ResponsesRequest:
    return parse_request(json.dumps({"input": "Hi"} | fields).encode(), ResponsesRequest)


def test_defaults_ask_for_little() -> None:
    """The input alone is a request."""
    request = parsed()
    assert (request.model, request.constraint, request.num_top_logprobs) == (None, None, None)
    assert not request.is_batch


def test_what_clients_write_out_passes() -> None:
    """Defaults, and what asks for nothing here."""
    parsed(
        background=False,
        conversation=None,
        include=["reasoning.encrypted_content"],
        max_tool_calls=3,
        metadata={"a": "b"},
        parallel_tool_calls=True,
        previous_response_id=None,
        reasoning={"effort": "medium", "summary": "auto"},
        store=True,
        stream=True,
        stream_options={"include_obfuscation": False},
        text={"verbosity": "low"},
        tool_choice="auto",
        tools=[],
        truncation="disabled",
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"include": [LOGPROBS]}, 0),
        ({"include": [LOGPROBS], "top_logprobs": 3}, 3),
        ({"top_logprobs": 2}, 2),
        ({"top_logprobs": 0}, None),
        ({"include": []}, None),
    ],
)
def test_log_probabilities(fields: dict[str, object], expected: int | None) -> None:
    """`include` asks for them, and so does a number above 0."""
    assert parsed(**fields).num_top_logprobs == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"background": True, "store": False}, "background: needs store"),
        ({"truncation": "middle"}, "truncation: must be 'auto' or 'disabled'"),
        (
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
            "previous_response_id: cannot be sent together with conversation",
        ),
        ({"conversation": {"name": "c"}}, "conversation.id: "),
        ({"conversation": 5}, "conversation: must be an object"),
        ({"include": ["everything"]}, "include[0]: "),
        ({"stream_options": {}}, "stream_options: is only allowed when stream is true"),
        ({"max_output_tokens": 0}, "max_output_tokens: "),
        ({"messages": [], "foo": None}, "messages: this parameter is unknown"),
        (
            {"structured_outputs": {"choice": ["a"]}, "text": {"format": {"type": "json_object"}}},
            "structured_outputs: may not be given beside text.format",
        ),
        *(
            (
                {"structured_outputs": {"regex": "functools\\[.*"}, "tools": [LOOK], "tool_choice": choice},
                "structured_outputs: may not be given beside functions that may be called; use text.format",
            )
            for choice in (None, "auto", "required", {"type": "function", "name": "look"})
        ),
        ({"min_tokens": 3, "max_output_tokens": 2}, "min_tokens: is larger than max_output_tokens (2)"),
        ({"structured_outputs": {"choice": ["a"]}, "bad_words": ["b"]}, "bad_words: is not supported"),
        ({"input": []}, "input: "),
        ({"input": 5}, "input: "),
    ],
)
def test_refusals(fields: dict[str, object], message: str) -> None:
    """Each names its field."""
    with pytest.raises(InvalidRequest) as refusal:
        parsed(**fields)
    assert refusal.value.message.startswith(message)


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_a_conversation_by_its_id(conversation: object) -> None:
    """In either of OpenAI's forms."""
    asked = parsed(conversation=conversation).conversation
    assert asked is not None
    assert asked.id == "conv_1"


def test_the_input_is_required() -> None:
    """Unless there are items that are stored."""
    with pytest.raises(InvalidRequest) as refusal:
        parse_request(b"{}", ResponsesRequest)
    assert (refusal.value.param, refusal.value.code) == ("input", "missing_required_parameter")
    for stored in ({"previous_response_id": "resp_1"}, {"conversation": "conv_1"}):
        assert parse_request(json.dumps(stored).encode(), ResponsesRequest).input is None
