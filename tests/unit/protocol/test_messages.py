"""Every form of message is accepted as OpenAI's clients send it."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from phiserve.protocol.messages import AssistantMessage, Message, SystemMessage, ToolMessage, UserMessage

TEXT = {"type": "text", "text": "a"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


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
        ({"role": "system", "content": "a", "name": "rules"}, SystemMessage),
        ({"role": "user", "content": "a", "name": "ada"}, UserMessage),
        ({"role": "assistant", "content": "a", "name": "bob"}, AssistantMessage),
    ],
)
def test_forms(message: dict[str, Any], kind: type) -> None:
    """Strings and part lists, every role, with a participant's name where OpenAI allows one."""
    assert isinstance(TypeAdapter(Message).validate_python(message), kind)


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_only_users_show_images(role: str) -> None:
    """As in OpenAI's interface, images stand in user messages only."""
    part = {"type": "image_url", "image_url": {"url": "data:"}}
    message = {"role": role, "content": [part]} | ({"tool_call_id": "c"} if role == "tool" else {})
    with pytest.raises(ValueError, match="type"):
        TypeAdapter(Message).validate_python(message)
