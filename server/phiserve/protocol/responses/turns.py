"""Items of `input` -> turns of literal text and image placeholders, calls and results of tools among them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phiserve.chat.joining import checked_text, join_parts
from phiserve.chat.tools import result_headings, with_tools, written
from phiserve.core import Conversation, Role, ToolCall, ToolUse, Turn
from phiserve.core import Part as InnerPart
from phiserve.errors import InvalidRequest
from phiserve.protocol.input_parts import GivenFile, GivenImage, placeholder_of
from phiserve.protocol.responses.items import (
    AssistantItem,
    FunctionCallItem,
    FunctionCallOutput,
    InputItem,
    MessageItem,
    Part,
    Refusal,
    SystemItem,
    UserItem,
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Items that come before a request's own. `param`: the request's field that stands for them."""

    items: tuple[InputItem, ...] = ()
    param: str = "previous_response_id"


NOTHING_EARLIER = Earlier()


def build_conversation(
    given: str | Sequence[object] | None,
    instructions: str | None = None,
    tool_use: ToolUse | None = None,
    earlier: Earlier = NOTHING_EARLIER,
) -> Conversation:
    """Turn instructions, the tools that may be called and a request's input into a conversation.

    It is the one that would come of all items, the earlier ones first, as one input. Raises InvalidRequest
    for text that is not Unicode (lone surrogates), and where there is no item at all.
    """
    turns = []
    if instructions:
        turns.append(Turn("system", join_parts([checked_text(instructions, "instructions")])))
    placed = [*_placed(earlier.items, earlier.param)]
    if isinstance(given, str):
        turns += _Turns().of(placed)
        turns.append(Turn("user", join_parts([checked_text(given, "input")])))
    else:
        placed += _placed(given or (), "input")
        if not placed:
            raise InvalidRequest("there is nothing to answer: no item is stored or sent", param="input")
        turns += _Turns().of(placed)
    conversation = Conversation(tuple(turns), param="input")
    return conversation if tool_use is None else with_tools(conversation, tool_use.tools)


def _placed(items: Iterable[object], param: str) -> Iterable[tuple[str, object]]:
    """Each item with its place."""
    return ((f"{param}[{index}]", item) for index, item in enumerate(items))


class _Turns:
    """Builds turns from items. Calls that follow each other, and a message before them, are one answer."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._calls: list[tuple[str, ToolCall]] = []
        self._headings: dict[str, str] = {}

    def of(self, items: Iterable[tuple[str, object]]) -> list[Turn]:
        """The turns of all items, each with its place."""
        for param, item in items:
            match item:
                case FunctionCallItem():
                    name, arguments = (
                        checked_text(item.name, f"{param}.name"),
                        checked_text(item.arguments, f"{param}.arguments"),
                    )
                    self._calls.append((item.call_id, ToolCall(name, arguments)))
                case FunctionCallOutput():
                    self._end_calls()
                    self._turns.append(self._result(item, param))
                case SystemItem() | UserItem() | AssistantItem():
                    self._end_calls()
                    self._turns.append(
                        Turn(_role(item), join_parts(_parts(item.content, f"{param}.content")))
                    )
        self._end_calls()
        return self._turns

    def _end_calls(self) -> None:
        """Calls that stand open are the end of an answer."""
        if not self._calls:
            return
        parts: list[InnerPart] = []
        if self._turns and self._turns[-1].role == "assistant":
            parts += self._turns.pop().parts
        calls = [call for _, call in self._calls]
        self._turns.append(Turn("assistant", join_parts([*parts, written(calls)])))
        headings = result_headings([call.name for call in calls])
        self._headings |= {
            call_id: heading for (call_id, _), heading in zip(self._calls, headings, strict=True)
        }
        self._calls = []

    def _result(self, item: FunctionCallOutput, param: str) -> Turn:
        unknown = checked_text(f"Result of tool call {item.call_id}:", f"{param}.call_id")
        heading = self._headings.get(item.call_id, unknown)
        return Turn("user", join_parts([heading, *_parts(item.output, f"{param}.output")]))


def _role(item: MessageItem) -> Role:
    match item:
        case SystemItem():
            return "system"
        case UserItem():
            return "user"
        case AssistantItem():
            return "assistant"


def _parts(content: str | Sequence[Part], param: str) -> list[InnerPart]:
    if isinstance(content, str):
        return [checked_text(content, param)]
    return [_part(part, f"{param}[{index}]") for index, part in enumerate(content)]


def _part(part: Part, param: str) -> InnerPart:
    match part:
        case GivenImage() | GivenFile():
            return placeholder_of(part, param)
        case Refusal():
            return checked_text(part.refusal, f"{param}.refusal")
        case _:
            return checked_text(part.text, f"{param}.text")
