"""The items of the shared input: messages of all roles, calls of tools and their outputs."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from phiserve.errors import shortened
from phiserve.protocol.decisions.parts import AssistantContent, InstructionContent, OutputContent, UserContent
from phiserve.protocol.wire_model import WireModel

ROLES = ("user", "developer", "system", "assistant")
TYPES = ("message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output")


class DecisionUserMessage(WireModel):
    """What the person says and shows."""

    role: Literal["user"]
    content: UserContent
    type: Literal["message"] = "message"


class DecisionInstructionMessage(WireModel):
    """Instructions, under either of OpenAI's names for them."""

    role: Literal["developer", "system"]
    content: InstructionContent
    type: Literal["message"] = "message"


class DecisionAssistantMessage(WireModel):
    """An earlier answer. Its `phase` has no effect."""

    role: Literal["assistant"]
    content: AssistantContent
    type: Literal["message"] = "message"
    phase: Literal["commentary", "final_answer"] | None = None


class _ToolItem(WireModel):
    """What calls and outputs may have beside what they say; none of it has an effect."""

    call_id: str
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None


class DecisionFunctionCall(_ToolItem):
    """A call of a function; `arguments` is JSON text."""

    type: Literal["function_call"]
    name: str
    arguments: str
    namespace: str | None = None


class DecisionCustomToolCall(_ToolItem):
    """A call of a tool that takes any text."""

    type: Literal["custom_tool_call"]
    name: str
    input: str
    namespace: str | None = None


class DecisionFunctionCallOutput(_ToolItem):
    """What a function gave back, which may show images."""

    type: Literal["function_call_output"]
    output: OutputContent


class DecisionCustomToolCallOutput(_ToolItem):
    """What such a tool gave back, which may show images."""

    type: Literal["custom_tool_call_output"]
    output: OutputContent


Message = DecisionUserMessage | DecisionInstructionMessage | DecisionAssistantMessage
Call = DecisionFunctionCall | DecisionCustomToolCall
Output = DecisionFunctionCallOutput | DecisionCustomToolCallOutput


def _no_such_item(item: object) -> object:
    """Raises PydanticCustomError, which names the item's type."""
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(kind, str):
        raise PydanticCustomError("item_kind_type", "must be a string", {"path": ".type"})
    text = f"must be one of {', '.join(TYPES)}, not {shortened(repr(kind))}"
    raise PydanticCustomError("item_kind", "{text}", {"text": text, "path": ".type"})


def _tag(item: object) -> str | None:
    """A message's role, another item's type, or `:other`."""
    given = item if isinstance(item, dict) else getattr(item, "__dict__", {})
    kind = given.get("type", "message")
    if kind != "message":
        return f":{kind}" if kind in TYPES else ":other"
    role = given.get("role")
    return f":{role}" if role in ROLES else None


Item = Annotated[
    Annotated[DecisionUserMessage, Tag(":user")]
    | Annotated[DecisionInstructionMessage, Tag(":developer")]
    | Annotated[DecisionInstructionMessage, Tag(":system")]
    | Annotated[DecisionAssistantMessage, Tag(":assistant")]
    | Annotated[DecisionFunctionCall, Tag(":function_call")]
    | Annotated[DecisionFunctionCallOutput, Tag(":function_call_output")]
    | Annotated[DecisionCustomToolCall, Tag(":custom_tool_call")]
    | Annotated[DecisionCustomToolCallOutput, Tag(":custom_tool_call_output")]
    | Annotated[object, AfterValidator(_no_such_item), WithJsonSchema({"not": {}}), Tag(":other")],
    Discriminator(_tag, custom_error_type="role", custom_error_message=f"must be one of {', '.join(ROLES)}"),
]
"""One item of `input`."""
