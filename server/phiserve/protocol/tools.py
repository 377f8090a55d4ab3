"""Tools of a chat request: functions that may be called, which of them, and how many at once.

OpenAI's older `functions` and `function_call` are the same with other names.
"""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    JsonValue,
    PrivateAttr,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from phiserve.constraints.constraint import Constraint
from phiserve.constraints.tool_calls import NO_PARAMETERS
from phiserve.core import Tool, ToolUse
from phiserve.errors import shortened
from phiserve.protocol.compatibility import FUNCTION_FIELDS
from phiserve.protocol.refused import describer, refuser
from phiserve.protocol.sampling import SamplingFields, disagreement
from phiserve.protocol.tool_use import arguments_of, calls_constraint, choose
from phiserve.protocol.wire_model import RequestPart, bounded

MAX_TOOLS = 128
"""OpenAI's limit."""

CallsAs = Literal["tool_calls", "function_call"]
"""How an answer gives its calls: under today's name, or the one of OpenAI's older interface."""


def only_functions(kind: object) -> object:
    """The type of a tool. Raises PydanticCustomError, which names it, for any other type than `function`."""
    if isinstance(kind, str) and kind != "function":
        text = f"{shortened(kind)} tools are not supported; type must be 'function'"
        raise PydanticCustomError("unsupported", "{text}", {"text": text})
    return kind


ToolType = Annotated[Literal["function"], BeforeValidator(only_functions)]


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
        raise PydanticCustomError("tool_name", "must be 1 to 64 letters from a to z, digits, '_' and '-'")
    return name


ToolName = Annotated[str, AfterValidator(_check_name)]
"""The name of a function, by OpenAI's rule."""


class FunctionDefinition(RequestPart):
    """A function, with a JSON schema of its arguments, which are always held to it: `strict` or not."""

    model_config = ConfigDict(json_schema_extra=describer(FUNCTION_FIELDS))

    name: ToolName
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None
    defer_loading: Annotated[object, refuser(FUNCTION_FIELDS)] = None

    @property
    def tool(self) -> Tool:
        """The inner request's. Without parameters, as in OpenAI's interface, it takes no arguments."""
        return Tool(self.name, self.parameters or NO_PARAMETERS, self.description)


class FunctionTool(RequestPart):
    """`{"type": "function", "function": {"name": …, "parameters": …}}`."""

    type: ToolType
    function: FunctionDefinition


class NamedFunction(RequestPart):
    """A function, by its name."""

    name: str


class NamedTool(RequestPart):
    """A tool, by the name of its function."""

    type: ToolType
    function: NamedFunction


class AllowedTools(RequestPart):
    """Which of the tools may be called, and whether one must be."""

    mode: Literal["auto", "required"]
    tools: Annotated[tuple[NamedTool, ...], bounded(MAX_TOOLS, least=1)]


class AllowedToolsChoice(RequestPart):
    """`{"type": "allowed_tools", "allowed_tools": …}`."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


def _choice_tag(choice: object) -> str:
    if isinstance(choice, str | NamedFunction):
        return ":mode" if isinstance(choice, str) else ":function"
    kind = choice.get("type") if isinstance(choice, dict) else getattr(choice, "type", None)
    return ":allowed_tools" if kind == "allowed_tools" else ":function"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag(":mode")]
    | Annotated[NamedTool, Tag(":function")]
    | Annotated[AllowedToolsChoice, Tag(":allowed_tools")],
    Discriminator(_choice_tag),
]
FunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag(":mode")] | Annotated[NamedFunction, Tag(":function")],
    Discriminator(_choice_tag),
]


class ToolFields(SamplingFields):
    """Base of requests whose answers may be calls of tools."""

    tools: Annotated[tuple[FunctionTool, ...], bounded(MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[tuple[FunctionDefinition, ...], bounded(MAX_TOOLS)] | None = None
    function_call: FunctionChoice | None = None
    _tool_use: ToolUse | None = PrivateAttr(None)
    _calls: Constraint | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _plan_calls(self) -> Self:
        if self.tools and self.functions:
            raise disagreement("functions", "may not be given beside tools, which is its newer name")
        if not self.tools and self.tool_choice not in (None, "none", "auto"):
            raise _nothing_to_call("tool_choice", "tools")
        if not self.functions and self.function_call not in (None, "none", "auto"):
            raise _nothing_to_call("function_call", "functions")
        if self.tools:
            self._plan([one.function for one in self.tools], "tools[{}].function", _use_of_tools)
        elif self.functions:
            self._plan(self.functions, "functions[{}]", _use_of_functions)
        return self

    def _plan(
        self,
        functions: Sequence[FunctionDefinition],
        path: str,
        use_of: "Callable[[ToolFields, Sequence[Tool]], ToolUse | None]",
    ) -> None:
        tools = [function.tool for function in functions]
        arguments = arguments_of(tools, [path.format(index) for index in range(len(tools))])
        use = use_of(self, tools)
        if use is None:
            return
        if self.structured_outputs is not None:
            reason = "may not be given beside functions that may be called; use response_format"
            raise disagreement("structured_outputs", reason)
        self._tool_use = use
        self._calls = calls_constraint(use, arguments, super().constraint, path.partition("[")[0])

    @property
    def tool_use(self) -> ToolUse | None:
        """The tools that an answer may call; None where there are none."""
        return self._tool_use

    @property
    def constraint(self) -> Constraint | None:
        """What the answer must look like, calls included."""
        return super().constraint if self._calls is None else self._calls

    @property
    def calls_as(self) -> CallsAs | None:
        """By which name an answer gives its calls; None where it has none."""
        if self._tool_use is None:
            return None
        return "tool_calls" if self.tools else "function_call"


def _use_of_tools(request: ToolFields, tools: Sequence[Tool]) -> ToolUse | None:
    parallel = request.parallel_tool_calls is not False
    match request.tool_choice:
        case "none":
            return None
        case NamedTool() as named:  # exactly one call, as OpenAI's guide to functions says
            return choose(tools, [named.function.name], must_call=True, parallel=False)
        case AllowedToolsChoice() as choice:
            names = [one.function.name for one in choice.allowed_tools.tools]
            must_call = choice.allowed_tools.mode == "required"
            return choose(tools, names, must_call=must_call, parallel=parallel)
        case mode:
            return choose(tools, None, must_call=mode == "required", parallel=parallel)


def _use_of_functions(request: ToolFields, tools: Sequence[Tool]) -> ToolUse | None:
    """Calls of functions come one at a time."""
    match request.function_call:
        case "none":
            return None
        case NamedFunction() as named:
            return choose(tools, [named.name], must_call=True, parallel=False, param="function_call")
        case _:
            return choose(tools, None, must_call=False, parallel=False)


def _nothing_to_call(field: str, functions: str) -> PydanticCustomError:
    reason = f"needs {functions}: send the functions that may be called in {functions}, or leave {field} out"
    return disagreement(field, reason)
