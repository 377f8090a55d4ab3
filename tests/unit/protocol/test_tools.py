"""Which tools an answer may call, as OpenAI's clients ask for it, and what is refused and where."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionFunctionToolParam
from openai.types.shared_params import FunctionDefinition as TheirFunction

from phiserve.constraints.tool_calls import MAX_CALLS
from phiserve.core import ToolUse
from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.tools import MAX_TOOLS, FunctionDefinition, FunctionTool, ToolFields
from unit.constraints.matching import passes

LOOK = {
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
}
STOP = {"name": "stop", "strict": True}
LOOK_CALL, STOP_CALL = '{"name":"look","arguments":{"at":"me"}}', '{"name":"stop","arguments":{}}'


def tool(function: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": function}


BOTH = [tool(LOOK), tool(STOP)]
NAMED_STOP = tool({"name": "stop"})


def allowed(mode: str, *names: str) -> dict[str, Any]:
    """A choice of some tools."""
    tools = [tool({"name": name}) for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def parse(**fields: object) -> ToolFields:
    return parse_request(json.dumps({"model": "m", **fields}).encode(), ToolFields)


def refusal(**fields: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    return caught.value


def use_of(**fields: object) -> ToolUse:
    """How the tools of a request are used."""
    use = parse(**fields).tool_use
    assert use is not None
    return use


@pytest.mark.parametrize(
    ("fields", "names", "must_call", "most"),
    [
        ({}, "look stop", False, MAX_CALLS),
        ({"tool_choice": "auto", "parallel_tool_calls": True}, "look stop", False, MAX_CALLS),
        ({"tool_choice": "required"}, "look stop", True, MAX_CALLS),
        ({"tool_choice": "required", "parallel_tool_calls": False}, "look stop", True, 1),
        ({"tool_choice": NAMED_STOP}, "stop", True, 1),
        ({"tool_choice": allowed("auto", "stop")}, "stop", False, MAX_CALLS),
        ({"tool_choice": allowed("required", "stop", "look")}, "look stop", True, MAX_CALLS),
    ],
)
def test_choices(fields: dict[str, Any], names: str, must_call: bool, most: int) -> None:
    """All tools are told, whatever may be called; a named one is called once, as OpenAI's guide says."""
    request = parse(tools=BOTH, **fields)
    use = request.tool_use
    assert use is not None
    assert [one.name for one in use.tools] == ["look", "stop"]
    assert (use.callable_names, use.must_call, use.max_calls) == (tuple(names.split()), must_call, most)
    assert request.calls_as == "tool_calls"


@pytest.mark.parametrize(
    ("fields", "passing", "others"),
    [
        ({}, [LOOK_CALL, STOP_CALL, f"{STOP_CALL},{LOOK_CALL}"], []),
        ({"tool_choice": NAMED_STOP}, [STOP_CALL], [LOOK_CALL, f"{STOP_CALL},{STOP_CALL}"]),
        ({"tool_choice": allowed("required", "look")}, [LOOK_CALL], [STOP_CALL]),
        ({"parallel_tool_calls": False}, [LOOK_CALL], [f"{LOOK_CALL},{STOP_CALL}"]),
    ],
)
def test_calls_are_held_to_the_choice(fields: dict[str, Any], passing: list[str], others: list[str]) -> None:
    """Exactly those that may be made pass, strict or not; only where none must be made, so does text."""
    constraint = parse(tools=BOTH, **fields).constraint
    assert constraint is not None
    assert all(passes(constraint.grammar, f"functools[{calls}]") for calls in passing)
    assert not any(passes(constraint.grammar, f"functools[{calls}]") for calls in others)
    assert passes(constraint.grammar, "Hello!") == ("tool_choice" not in fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": []},
        {"tools": [], "tool_choice": "auto"},
        {"tool_choice": "none", "parallel_tool_calls": True},
        {"tools": BOTH, "tool_choice": "none"},
        {"functions": [], "function_call": "auto"},
        {"functions": [LOOK], "function_call": "none"},
        {"tools": None, "tool_choice": None, "functions": None, "function_call": None},
    ],
)
def test_nothing_to_call(fields: dict[str, Any]) -> None:
    """Without tools, or told to call none, the answer is free."""
    request = parse(**fields)
    assert (request.tool_use, request.constraint, request.calls_as) == (None, None, None)


def test_the_older_interface() -> None:
    """Functions are tools that are called one at a time."""
    auto = parse(functions=[LOOK, STOP])
    assert auto.calls_as == "function_call"
    use = use_of(functions=[LOOK, STOP])
    assert (use.callable_names, use.must_call, use.max_calls) == (("look", "stop"), False, 1)
    named = use_of(functions=[LOOK, STOP], function_call={"name": "look"})
    assert (named.callable_names, named.must_call, named.max_calls) == (("look",), True, 1)


def test_text_is_held_to_a_format() -> None:
    """Where an answer may be text or calls, `response_format` is the text's."""
    constraint = parse(tools=BOTH, response_format={"type": "json_object"}).constraint
    assert constraint is not None
    assert passes(constraint.grammar, "{}")
    assert passes(constraint.grammar, f"functools[{LOOK_CALL}]")
    assert not passes(constraint.grammar, "Hello!")


UNENFORCED = {"name": "f", "parameters": {"properties": {"a": {"type": "array", "uniqueItems": True}}}}


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        (
            {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
            "tools[0].type",
            "custom tools are not supp",
        ),
        ({"tools": [tool({})]}, "tools[0].function.name", "required"),
        ({"tools": [tool({"name": "a b"})]}, "tools[0].function.name", "must be 1 to 64"),
        ({"tools": [tool({"name": "a" * 65})]}, "tools[0].function.name", "must be 1 to 64"),
        ({"tools": [tool({"name": "a\n"})]}, "tools[0].function.name", "must be 1 to 64"),
        ({"tools": [*BOTH, tool(STOP)]}, "tools[2].function.name", "name of an earlier function"),
        ({"tools": [tool(STOP)] * (MAX_TOOLS + 1)}, "tools", "128"),
        (
            {"tools": [tool(LOOK), tool(UNENFORCED)]},
            "tools[1].function.parameters.properties.a.uniqueItems",
            "",
        ),
        ({"functions": [UNENFORCED]}, "functions[0].parameters.properties.a.uniqueItems", ""),
        ({"tools": [tool(UNENFORCED)], "tool_choice": "none"}, "tools[0].function.parameters", ""),
        (
            {"tools": [tool({"name": "f", "parameters": {"type": "array"}})]},
            "tools[0].function.param",
            "object",
        ),
        (
            {"tool_choice": "required"},
            "tool_choice",
            "send the functions that may be called in tools, or leave",
        ),
        ({"tools": [], "tool_choice": NAMED_STOP}, "tool_choice", "needs tools"),
        ({"function_call": {"name": "f"}}, "function_call", "needs functions"),
        ({"tools": BOTH, "tool_choice": tool({"name": "go"})}, "tool_choice", "'go' is not among"),
        ({"tools": BOTH, "tool_choice": allowed("auto", "stop", "go")}, "tool_choice", "'go' is not among"),
        ({"functions": [STOP], "function_call": {"name": "go"}}, "function_call", "'go' is not among"),
        ({"tools": BOTH, "tool_choice": "always"}, "tool_choice", "'required'"),
        ({"tools": BOTH, "tool_choice": tool({})}, "tool_choice.function.name", "required"),
        (
            {"tools": BOTH, "tool_choice": {"type": "custom", "custom": {}}},
            "tool_choice.type",
            "custom tools",
        ),
        ({"tools": BOTH, "tool_choice": allowed("auto")}, "tool_choice.allowed_tools.tools", "1 item"),
        ({"tools": BOTH, "functions": [STOP]}, "functions", "beside tools"),
        ({"tools": BOTH, "structured_outputs": {"regex": "a"}}, "structured_outputs", "use response_format"),
    ],
)
def test_mistakes(fields: dict[str, Any], param: str, said: str) -> None:
    """Each is named by its place, with what to do where that is not plain."""
    error = refusal(**fields)
    assert error.param is not None
    assert error.param.startswith(param)
    assert said in error.message


def test_the_code_of_a_schema_that_is_not_enforced() -> None:
    """As for `response_format`."""
    assert refusal(tools=[tool(UNENFORCED)]).code == "unsupported_schema"
    assert refusal(tools=[tool({"name": "f", "parameters": {"type": 1}})]).code == "invalid_value"
    assert refusal(tools=[{"type": "custom"}]).code == "unsupported_parameter"


def test_a_regular_expression_may_stand_beside_tools_that_are_not_called() -> None:
    constraint = parse(tools=BOTH, tool_choice="none", structured_outputs={"regex": "a"}).constraint
    assert constraint is not None
    assert passes(constraint.grammar, "a")


def test_every_field_of_openais_is_known() -> None:
    """Its client's own types are walked: a new field fails here until somebody decides about it."""
    assert ChatCompletionFunctionToolParam.__annotations__.keys() <= FunctionTool.model_fields.keys()
    assert TheirFunction.__annotations__.keys() <= FunctionDefinition.model_fields.keys()


def test_functions_are_told_at_once() -> None:
    """vLLM's `defer_loading` may say so; that a function is to be searched for is refused."""
    assert parse(tools=[tool(STOP | {"defer_loading": False})]).tool_use is not None
    refused = refusal(tools=[tool(STOP | {"defer_loading": True})])
    assert (refused.param, refused.code) == ("tools[0].function.defer_loading", "unsupported_parameter")
