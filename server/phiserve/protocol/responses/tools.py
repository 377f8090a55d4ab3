"""Tools of a Responses request, written flat: functions that may be called, which of them, and how many."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, JsonValue, PrivateAttr, Tag, model_validator

from phiserve.constraints.constraint import Constraint
from phiserve.core import Tool, ToolUse
from phiserve.protocol.compatibility import RESPONSES_FUNCTION_FIELDS
from phiserve.protocol.refused import describer, refuser
from phiserve.protocol.responses.text import TextConfig
from phiserve.protocol.sampling import disagreement
from phiserve.protocol.tool_use import arguments_of, calls_constraint, choose
from phiserve.protocol.tools import MAX_TOOLS, FunctionDefinition, ToolType
from phiserve.protocol.wire_model import RequestPart, bounded


class TypedTool(RequestPart):
    """A tool's `type`. It is read before all else: of other types, all else is another."""

    type: ToolType


_Refused = Annotated[object, refuser(RESPONSES_FUNCTION_FIELDS)]


class FunctionTool(FunctionDefinition, TypedTool):
    """`{"type": "function", "name": …, "parameters": …}`: what chat requests have one level deeper.

    `output_schema`, which describes what the function gives back, has no effect: outputs are read as text.
    """

    model_config = ConfigDict(json_schema_extra=describer(RESPONSES_FUNCTION_FIELDS))

    output_schema: dict[str, JsonValue] | None = None
    allowed_callers: _Refused = None
    async_: Annotated[_Refused, Field(alias="async")] = None


class NamedTool(TypedTool):
    """A tool, by the name of its function."""

    name: str


class AllowedTools(RequestPart):
    """Which of the tools may be called, and whether one must be."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[tuple[NamedTool, ...], bounded(MAX_TOOLS, least=1)]


def _choice_tag(choice: object) -> str:
    if isinstance(choice, str):
        return ":mode"
    kind = choice.get("type") if isinstance(choice, dict) else getattr(choice, "type", None)
    return ":allowed_tools" if kind == "allowed_tools" else ":function"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag(":mode")]
    | Annotated[NamedTool, Tag(":function")]
    | Annotated[AllowedTools, Tag(":allowed_tools")],
    Discriminator(_choice_tag),
]


class ToolFields(RequestPart):
    """Base of requests whose answers may be calls of tools. Tools that a server would have are refused."""

    text: TextConfig | None = None
    tools: Annotated[tuple[FunctionTool, ...], bounded(MAX_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    _tool_use: ToolUse | None = PrivateAttr(None)
    _calls: Constraint | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _plan_calls(self) -> Self:
        if not self.tools:
            if self.tool_choice not in (None, "none", "auto"):
                reason = "needs tools: send the functions that may be called in tools, or leave it out"
                raise disagreement("tool_choice", reason)
            return self
        tools = [one.tool for one in self.tools]
        arguments = arguments_of(tools, [f"tools[{index}]" for index in range(len(tools))])
        use = self._use_of(tools)
        if use is not None:
            self._tool_use = use
            text = None if self.text is None else self.text.constraint
            self._calls = calls_constraint(use, arguments, text)
        return self

    def _use_of(self, tools: Sequence[Tool]) -> ToolUse | None:
        parallel = self.parallel_tool_calls is not False
        match self.tool_choice:
            case "none":
                return None
            case NamedTool() as named:  # exactly one call, as OpenAI's guide to functions says
                return choose(tools, [named.name], must_call=True, parallel=False)
            case AllowedTools() as choice:
                names = [one.name for one in choice.tools]
                return choose(tools, names, must_call=choice.mode == "required", parallel=parallel)
            case mode:
                return choose(tools, None, must_call=mode == "required", parallel=parallel)

    @property
    def _text_constraint(self) -> Constraint | None:
        return None if self.text is None else self.text.constraint

    @property
    def tool_use(self) -> ToolUse | None:
        """The tools that an answer may call; None where there are none."""
        return self._tool_use

    @property
    def constraint(self) -> Constraint | None:
        """What the answer must look like, calls included."""
        return self._text_constraint if self._calls is None else self._calls
