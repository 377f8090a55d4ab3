"""Tools of a Responses request: which may be called, and what is refused by name and path."""

import json
from typing import Any

import pytest
from openai.types.responses import FunctionTool as TheirTool
from openai.types.responses import (
    ResponseFunctionToolCall,
    ToolChoiceAllowed,
    ToolChoiceFunction,
)
from openai.types.responses.response_input_item import FunctionCallOutput as TheirOutput
from pydantic import BaseModel

from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.items import FunctionCallItem, FunctionCallOutput
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.tools import AllowedTools, FunctionTool, NamedTool

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "look", "parameters": SCHEMA, "strict": True, "description": "Looks."},
    {"type": "function", "name": "rest"},
]


def parsed(**fields: object) -> ResponsesRequest:
    return parse_request(json.dumps({"input": "Hi", "tools": TOOLS} | fields).encode(), ResponsesRequest)


@pytest.mark.parametrize(
    ("choice", "names", "must_call"),
    [
        (None, ("look", "rest"), False),
        ("auto", ("look", "rest"), False),
        ("required", ("look", "rest"), True),
        ({"type": "function", "name": "rest"}, ("rest",), True),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "look"}]},
            ("look",),
            False,
        ),
    ],
)
def test_choices(choice: object, names: tuple[str, ...], must_call: bool) -> None:
    """What may be called, and whether something must be; the answer is held to it."""
    request = parsed(tool_choice=choice)
    use = request.tool_use
    assert use is not None
    assert (use.callable_names, use.must_call) == (names, must_call)
    assert [tool.name for tool in use.tools] == ["look", "rest"]
    assert request.constraint is not None


def test_none_may_be_called() -> None:
    """By the choice, or since there are none."""
    assert parsed(tool_choice="none").tool_use is None
    assert parsed(tools=[], tool_choice="auto").constraint is None


def test_calls_beside_a_format() -> None:
    """An answer is calls or of the format; calls may be one at a time."""
    request = parsed(text={"format": {"type": "json_object"}}, parallel_tool_calls=False)
    assert request.tool_use is not None
    assert request.tool_use.max_calls == 1
    assert request.constraint != parsed(tools=[], text={"format": {"type": "json_object"}}).constraint


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"tools": [{"type": "web_search_preview"}]},
            "tools[0].type: web_search_preview tools are not supported; type must be 'function'",
        ),
        ({"tools": [*TOOLS, {"type": "mcp"}]}, "tools[2].type: mcp tools are not supported"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name: "),
        (
            {"tools": [{"type": "function", "name": "a", "parameters": {"not": {}}}]},
            "tools[0].parameters.not: ",
        ),
        ({"tools": [TOOLS[0], TOOLS[0]]}, "tools[1].name: "),
        ({"tools": [], "tool_choice": "required"}, "tool_choice: needs tools"),
        ({"tool_choice": {"type": "function", "name": "sing"}}, "tool_choice: 'sing' is not among"),
        (
            {"tool_choice": {"type": "web_search_preview"}},
            "tool_choice.type: web_search_preview tools",
        ),
    ],
)
def test_refusals(fields: dict[str, object], message: str) -> None:
    """Tools that a server would run are refused by their type; what is wrong with a function by its place."""
    with pytest.raises(InvalidRequest) as refusal:
        parsed(**fields)
    assert refusal.value.message.startswith(message)


def keys(model: type[BaseModel]) -> set[str]:
    """The keys of an object on the wire."""
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (TheirTool, FunctionTool),
        (ToolChoiceFunction, NamedTool),
        (ToolChoiceAllowed, AllowedTools),
        (ResponseFunctionToolCall, FunctionCallItem),
        (TheirOutput, FunctionCallOutput),
    ],
)
def test_every_field_of_openais_is_known(theirs: type[BaseModel], ours: type[BaseModel]) -> None:
    """Its client's own types are walked: a new field fails here until somebody decides about it."""
    assert keys(theirs) <= keys(ours)


NEW: dict[str, tuple[list[Any], list[Any]]] = {
    "output_schema": ([{}, {"type": "object", "not": {}}], ["object"]),
    "defer_loading": ([False], [True, 0]),
    "allowed_callers": ([["direct"], ["direct", "programmatic"]], [["programmatic"], [], "direct"]),
    "async": ([False], [True]),
}
"""What OpenAI's functions have beside the rest: values that ask for nothing here, and others."""


def test_what_a_function_may_say_beside_the_rest() -> None:
    """Null and what asks for nothing passes; all else is refused by its name."""
    for name in keys(TheirTool) - {"type", "name", "description", "parameters", "strict"}:
        passing, refused = NEW[name]
        for value in (None, *passing):
            assert parsed(tools=[TOOLS[1] | {name: value}]).tool_use is not None
        for value in refused:
            with pytest.raises(InvalidRequest) as refusal:
                parsed(tools=[TOOLS[1] | {name: value}])
            assert refusal.value.param == f"tools[0].{name}"


@pytest.mark.parametrize("name", ["caller", "async", "namespace"])
def test_calls_as_clients_send_them_back(name: str) -> None:
    """With what OpenAI's client's types say of a direct call; of any other it is refused by its place."""
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    passing: dict[str, Any] = {"caller": {"type": "direct"}, "async": False, "namespace": None}
    assert parsed(input=[call | passing]).input is not None
    other: dict[str, Any] = {"caller": {"type": "program", "caller_id": "p"}, "async": True, "namespace": "n"}
    with pytest.raises(InvalidRequest) as refusal:
        parsed(input=[call | passing | {name: other[name]}])
    assert refusal.value.param == f"input[0].{name}"
