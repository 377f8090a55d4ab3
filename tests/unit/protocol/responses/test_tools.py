"""Tools of a Responses request: which may be called, and what is refused by name and path."""

import json

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.request import ResponsesRequest

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOLS = [
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
