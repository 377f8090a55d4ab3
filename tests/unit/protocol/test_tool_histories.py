"""The turn after a call, as clients whose runs stop at the first one tell it: from their sources, by hand.

What the others send is recorded (`tests/e2e/recorded`), and replayed against a server.
"""

import json
from typing import Any

import pytest

from phiserve.core import Conversation
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.translation import conversation_of
from phiserve.protocol.translation import told_conversation

PARAMETERS = {"type": "object", "properties": {"shape": {"type": "string"}}, "required": ["shape"]}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "draw", "description": "Draws.", "parameters": PARAMETERS}}
]
NULLABLE: dict[str, Any] = {"shape": {"type": "string", "nullable": True, "description": "Which one."}}
ARGUMENTS = '{"shape": "circle"}'
CALL = {"id": "call_1", "type": "function", "function": {"name": "draw", "arguments": ARGUMENTS}}
USER = {"role": "user", "content": "Draw."}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "Done."}


def text(role: str, content: str) -> dict[str, Any]:
    """A message of one part."""
    return {"role": role, "content": [{"type": "text", "text": content}]}


CHATS: dict[str, dict[str, Any]] = {
    # lib/crewai/src/crewai/utilities/agent_utils.py: NativeToolCallResult
    "crewai": {
        "tools": TOOLS,
        "tool_choice": "auto",
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            RESULT | {"name": "draw"},
        ],
    },
    # src/inspect_ai/model/_openai.py: openai_chat_message
    "inspect_ai": {
        "tools": TOOLS,
        "messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, RESULT],
    },
    # llama_index/llms/openai/utils.py: to_openai_message_dict, with a call that was streamed
    "llama_index": {
        "tools": TOOLS,
        "parallel_tool_calls": True,
        "messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL | {"index": 0}]}, RESULT],
    },
    # llm/default_plugins/openai_models.py: build_messages, where words came before the call
    "llm": {
        "tools": TOOLS,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            USER,
            {"role": "assistant", "content": "I draw."},
            {"role": "assistant", "tool_calls": [CALL]},
            RESULT,
        ],
    },
    # backend/open_webui/utils/misc.py: convert_output_to_messages
    "open_webui": {
        "tools": TOOLS,
        "messages": [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, RESULT],
    },
}


def roles_and_text(conversation: Conversation) -> tuple[list[str], str]:
    """Who speaks, and all that is said."""
    parts = (str(part) for turn in conversation.turns for part in turn.parts)
    return [turn.role for turn in conversation.turns], "\n".join(parts)


@pytest.mark.parametrize("client", CHATS)
def test_chats(client: str) -> None:
    """The call is a turn of the model's, and its result is told by the tool's name."""
    request = parse_request(json.dumps(CHATS[client]).encode(), ChatCompletionRequest)
    roles, told = roles_and_text(told_conversation(request))
    assert roles[0] == "system"
    assert roles[-2:] == ["assistant", "user"]
    assert '"name":"draw"' in told
    assert told.endswith("Done.")
    assert "Result of draw" in told


def test_smolagents() -> None:
    """Its calls and results are words (models.py: tool_role_conversions); a default is `nullable`."""
    function = TOOLS[0]["function"] | {"parameters": PARAMETERS | {"properties": NULLABLE, "required": []}}
    body = {
        "stop": ["Observation:", "Calling tools:"],
        "tool_choice": "required",
        "tools": [{"type": "function", "function": function}],
        "messages": [
            text("user", "New task:\nDraw."),
            text("assistant", f"Calling tools:\n[{CALL}]"),
            text("user", "Observation:\nDone."),
        ],
    }
    request = parse_request(json.dumps(body).encode(), ChatCompletionRequest)
    assert roles_and_text(told_conversation(request))[0] == ["system", "user", "assistant", "user"]


def test_mirascope() -> None:
    """In Responses (responses/_utils/encode.py): an item each for its words, its call and the result."""
    body = {
        "tools": [{"type": "function", "name": "draw", "parameters": PARAMETERS, "strict": True}],
        "input": [
            {"role": "developer", "content": "Draw what you are asked for."},
            {"role": "user", "content": "Draw."},
            {"role": "assistant", "content": "I draw."},
            {"type": "function_call", "call_id": "call_1", "name": "draw", "arguments": ARGUMENTS},
            {"type": "function_call_output", "call_id": "call_1", "output": "Done."},
        ],
    }
    request = parse_request(json.dumps(body).encode(), ResponsesRequest)
    roles, told = roles_and_text(conversation_of(request))
    assert roles[-3:] == ["user", "assistant", "user"]
    assert "Result of draw" in told
