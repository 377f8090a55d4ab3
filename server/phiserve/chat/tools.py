"""Tools as text: how the model is told of them, and how calls that it made are written.

The model was not trained to call tools; both are held to the form of `constraints.tool_calls`.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue

from phiserve.chat.joining import join_parts
from phiserve.constraints.tool_calls import OPENING
from phiserve.core import Conversation, Tool, ToolCall, Turn

_BEFORE = "You may call tools. Each of these lines is a tool, with the JSON schema of its arguments:"
_AFTER = (
    "To call tools, answer with nothing but names and arguments, in this form:",
    f'{OPENING}{{"name":"NAME","arguments":{{"ARGUMENT":"VALUE"}}}}]',
    "Several calls stand in one list, with commas between them. Their results come in the next turn.",
    "When no tool is needed, answer in words.",
)


def told(tools: Sequence[Tool]) -> str:
    """What the model is told of tools: a line for each, and the form of a call.

    The same whatever may be called in an answer, so that a conversation's cached prompt stays valid.
    """
    return "\n".join((_BEFORE, *map(_told_of, tools), *_AFTER))


def with_tools(conversation: Conversation, tools: Sequence[Tool]) -> Conversation:
    """Tell the model of tools: at the end of the system turn that comes first, or in one of their own."""
    turns = conversation.turns
    turn = Turn("system", (told(tools),))
    if turns and turns[0].role == "system":
        turn = Turn("system", join_parts([*turns[0].parts, f"\n\n{told(tools)}"]))
        turns = turns[1:]
    return replace(conversation, turns=(turn, *turns))


def written(calls: Sequence[ToolCall]) -> str:
    """Calls of an earlier answer, as the model writes them."""
    return f"{OPENING}{','.join(map(_written_call, calls))}]"


def result_headings(names: Sequence[str]) -> list[str]:
    """What stands before the result of each of an answer's calls, given the names of their tools.

    Results are told apart by these, and by numbers where there were several calls: the model never sees ids.
    """
    if len(names) == 1:
        return [f"Result of {names[0]}:"]
    return [f"Result of call {number}, {name}:" for number, name in enumerate(names, 1)]


def _told_of(tool: Tool) -> str:
    described: dict[str, JsonValue] = {"description": tool.description} if tool.description else {}
    return _compact({"name": tool.name, **described, "parameters": dict(tool.parameters)})


def _written_call(call: ToolCall) -> str:
    return f'{{"name":{_compact(call.name)},"arguments":{_written_arguments(call.arguments)}}}'


def _written_arguments(arguments: str) -> str:
    """Arguments without white space; a string where they are no JSON object, as those of a cut answer."""
    try:
        value = json.loads(arguments or "{}")
        if isinstance(value, dict):
            return _compact(value)
    except (ValueError, RecursionError):
        pass
    return _compact(arguments)


def _compact(value: JsonValue) -> str:
    """JSON without white space. Raises ValueError for numbers that JSON does not have.

    Halves of characters, which a text may spell by escapes, stay escapes.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text
