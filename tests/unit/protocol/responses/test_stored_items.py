"""Items as they are stored: in the forms that others define, and making the prompt that they made."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.conversations import ConversationItem
from openai.types.responses import ResponseItem
from pydantic import TypeAdapter, ValidationError

from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.stored_items import own_items, read_items, written_item
from phiserve.protocol.responses.turns import Earlier, build_conversation
from responses_types import Specification

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
FILE = {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"at": "left"}'}
ITEMS: dict[str, dict[str, Any]] = {
    "text": {"role": "user", "content": "Hi"},
    "parts": {"role": "user", "content": [IMAGE, {"type": "input_text", "text": "Hi"}]},
    "no detail": {"role": "user", "content": [IMAGE | {"detail": None}]},
    "system": {"role": "system", "content": "Be brief"},
    "developer": {"role": "developer", "content": [{"type": "input_text", "text": "Be brief"}]},
    "answer": {"role": "assistant", "content": "Hello", "phase": "final_answer"},
    "said": {
        "role": "assistant",
        "id": "msg_theirs",
        "status": "incomplete",
        "content": [
            {"type": "output_text", "text": "He", "annotations": [{"any": "thing"}], "logprobs": None},
            {"type": "input_text", "text": "llo"},
            {"type": "refusal", "refusal": "No"},
        ],
    },
    "call": CALL,
    "output": {"type": "function_call_output", "call_id": "c1", "output": "red", "name": "look"},
    "shown": {"type": "function_call_output", "call_id": "c1", "output": [IMAGE]},
    "file": {"role": "user", "content": [FILE, {"type": "input_file", "file_id": "file-1"}]},
    "file by URL": {
        "role": "user",
        "content": [{"type": "input_file", "file_url": "https://a.example/a.pdf"}],
    },
}


def items_of(*items: dict[str, Any]) -> Any:
    """As a request has them."""
    return parse_request(json.dumps({"input": items}).encode(), ResponsesRequest).input


@pytest.mark.parametrize("name", ITEMS)
def test_an_item_comes_back(name: str, reference: Path) -> None:
    """With an id of its own, as OpenAI's types and specification have it; it stands for the same turns."""
    (given,) = items_of(ITEMS[name])
    item_id, payload = written_item(given)
    written = json.loads(payload)
    assert written["id"] == item_id != ITEMS[name].get("id")
    assert written["status"] == ITEMS[name].get("status", "completed")
    for union in (ResponseItem, ConversationItem):
        TypeAdapter(union).validate_python(written, strict=True)  # type: ignore[arg-type]
    Specification(reference).validate("ItemResource", written)
    Specification(reference).validate("ConversationItem", written)
    assert build_conversation(read_items([payload])) == build_conversation([given])


def test_a_text_is_a_message() -> None:
    """Of the user's; what is not there is no item."""
    (item,) = own_items("Hi")
    assert build_conversation([item]).turns == build_conversation("Hi").turns
    assert own_items(None) == ()


def test_items_before_a_request_s_own() -> None:
    """All together are what they were as one input; a mistake is named where the client can look for it."""
    everything = items_of(*ITEMS.values())
    read = read_items([written_item(item)[1] for item in everything[:8]])
    joined = build_conversation(everything[8:], "Be kind", earlier=Earlier(read))
    whole = build_conversation(everything, "Be kind")
    assert [(turn.role, len(turn.parts)) for turn in joined.turns] == [
        (turn.role, len(turn.parts)) for turn in whole.turns
    ]
    assert [image.param for image in joined.images] == [
        "previous_response_id[1].content[0].image_url",
        "previous_response_id[2].content[0].image_url",
        "input[1].output[0].image_url",
    ]


@pytest.mark.parametrize("payload", ['{"role": "user", "content": 5, "a": "secret"}', '{"type": "secret"}'])
def test_what_cannot_be_read_is_not_quoted(payload: str) -> None:
    """The error is logged, by another version say; what was said never is."""
    with pytest.raises(ValidationError) as error:
        read_items([payload])
    assert "input_value" not in str(error.value)
