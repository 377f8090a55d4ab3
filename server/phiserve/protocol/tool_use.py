"""Tools of any surface -> what the inner request knows of them, and the constraint that calls are held to."""

import json
from collections.abc import Mapping, Sequence

from phiserve.constraints.constraint import Constraint, InvalidSchema, UnsupportedConstraint, write_path
from phiserve.constraints.keywords import MAX_SCHEMA_BYTES
from phiserve.constraints.lengths import bounds_schema
from phiserve.constraints.tool_calls import ANY_TEXT, MAX_CALLS, arguments_grammar, calls_grammar
from phiserve.core import Tool, ToolUse
from phiserve.errors import InvalidRequest, shortened

MAX_PARAMETERS_BYTES = 4 * MAX_SCHEMA_BYTES
"""Of the schemas of all tools together, each of which is compiled."""


def choose(
    tools: Sequence[Tool],
    names: Sequence[str] | None,
    *,
    must_call: bool,
    parallel: bool = True,
    param: str = "tool_choice",
) -> ToolUse:
    """Which of these tools an answer may call: those of these names, or all.

    Raises InvalidRequest at `param` for a name that no tool has.
    """
    known = [tool.name for tool in tools]
    for name in names or ():
        if name not in known:
            reason = f"{shortened(name)!r} is not among the functions that were given"
            raise InvalidRequest(reason, param=param, code="invalid_value")
    chosen = known if names is None else [name for name in known if name in names]
    return ToolUse(tuple(tools), tuple(chosen), must_call, MAX_CALLS if parallel else 1)


def arguments_of(tools: Sequence[Tool], paths: Sequence[str]) -> Mapping[str, str]:
    """A grammar of each tool's arguments, by the tool's name; `paths`: where the tools stand in the request.

    Raises InvalidRequest, which names the place, for a name that comes twice, and for schemas that are none,
    would not be enforced, or are too large together.
    """
    size = sum(len(json.dumps(dict(tool.parameters))) for tool in tools)
    if size > MAX_PARAMETERS_BYTES:
        reason = f"the parameters of all tools have more than {MAX_PARAMETERS_BYTES} bytes together"
        raise InvalidRequest(reason, param=paths[0].partition("[")[0], code="unsupported_schema")
    arguments: dict[str, str] = {}
    for tool, path in zip(tools, paths, strict=True):
        if tool.name in arguments:
            reason = "is the name of an earlier function; each needs a name of its own"
            raise InvalidRequest(reason, param=f"{path}.name", code="invalid_value")
        try:
            arguments[tool.name] = arguments_grammar(tool.parameters)
        except UnsupportedConstraint as error:
            raise _refusal(error, f"{path}.parameters") from None
    return arguments


def calls_constraint(
    use: ToolUse, arguments: Mapping[str, str], text: Constraint | None, param: str = "tools"
) -> Constraint:
    """What an answer must look like that may, or must, call tools. `text`: what it must look like otherwise.

    Where it may be text, it may be as long as that.

    Raises InvalidRequest at `param` where all tools together cost too much.
    """
    otherwise = None
    if not use.must_call:
        otherwise = ANY_TEXT if text is None else text.grammar
    called = {name: arguments[name] for name in use.callable_names}
    try:
        grammar = calls_grammar(called, use.max_calls, otherwise)
    except UnsupportedConstraint as error:
        raise _refusal(error, param) from None
    if use.must_call:
        called_tools = [tool for tool in use.tools if tool.name in use.callable_names]
        return Constraint(grammar, param, is_open=not all(map(_is_bounded, called_tools)))
    is_open, is_endless = text is not None and text.is_open, text is not None and text.is_endless
    return Constraint(grammar, param, is_open=is_open, is_endless=is_endless)


def _is_bounded(tool: Tool) -> bool:
    """Whether the schema of a tool's arguments says how long they may become."""
    return bounds_schema({"type": "object", **tool.parameters})


def _refusal(error: UnsupportedConstraint, param: str) -> InvalidRequest:
    code = "invalid_value" if isinstance(error, InvalidSchema) else "unsupported_schema"
    return InvalidRequest(error.reason, param=shortened(param + write_path(error.path)), code=code)
