"""Messages become turns with the newlines and slots that the prompt form prescribes."""

from typing import Any

import pytest
from phiserve.chat.conversation import ImageSlot, Turn, build_conversation

from phiserve.errors import InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.messages import TextPart, UserMessage

IMAGE = {"type": "image_url", "image_url": {"url": "data:x"}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def turns(*messages: dict[str, Any]) -> tuple[Turn, ...]:
    request = ChatCompletionRequest.model_validate({"model": "m", "messages": messages})
    return build_conversation(request.messages).turns


def shown(turn: Turn) -> str:
    """A turn's content as the prompt string the reference would tokenize."""
    return "".join("<image>" if isinstance(piece, ImageSlot) else piece for piece in turn.pieces)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([text("Hi")], "Hi"),
        ([IMAGE, text("Hi")], "<image>\nHi"),
        ([text("Hi"), IMAGE], "Hi\n<image>\n"),
        ([text("Hi\n"), IMAGE], "Hi\n<image>\n"),
        ([IMAGE, IMAGE, text("Compare")], "<image>\n<image>\nCompare"),
        ([text("a"), text("b")], "a\nb"),
        ([text("a\n"), text("b")], "a\nb"),
        ([text("a"), text("\nb")], "a\nb"),
        ([text("a"), IMAGE, text("b"), IMAGE, text("c")], "a\n<image>\nb\n<image>\nc"),
    ],
)
def test_parts_are_joined_in_order(parts: list[dict[str, Any]], expected: str) -> None:
    """Order is kept, an image is its tag and a newline, texts are parted by one newline."""
    (turn,) = turns({"role": "user", "content": parts})
    assert shown(turn) == expected


def test_roles() -> None:
    """Both names of the system role, tool results and calls have their stated form; equal roles stay separate
    turns.
    """
    result = turns(
        {"role": "developer", "content": "Be terse."},
        {"role": "system", "content": "Please."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "assistant", "content": "Sunny.", "refusal": None},
    )
    assert [(turn.role, shown(turn)) for turn in result] == [
        ("system", "Be terse."),
        ("system", "Please."),
        ("user", "Weather?"),
        ("assistant", "Tool call c1: get({})"),
        ("user", "Result of tool call c1:\nsunny"),
        ("assistant", "Sunny."),
    ]


def test_slots_know_their_place() -> None:
    """A slot names where in the request its image stands, and `original` means `high`."""
    part = {"type": "image_url", "image_url": {"url": "data:x", "detail": "original"}}
    conversation = build_conversation(
        ChatCompletionRequest.model_validate(
            {
                "model": "m",
                "messages": [
                    {"role": "user", "content": "a"},
                    {"role": "user", "content": [text("b"), part]},
                ],
            }
        ).messages
    )
    assert conversation.slots == (ImageSlot("data:x", "high", "messages[1].content[1].image_url"),)


def test_lone_surrogates_are_refused() -> None:
    """Half a surrogate pair, which JSON can spell, is an error that names the part."""
    message = UserMessage.model_construct(
        role="user", content=(TextPart.model_construct(type="text", text="a\ud800"),)
    )
    with pytest.raises(InvalidRequest) as caught:
        build_conversation([message])
    assert caught.value.param == "messages[0].content[0].text"
