"""The shared input -> turns of literal text and image placeholders."""

from collections.abc import Sequence

from phiserve.chat.joining import checked_text, join_parts
from phiserve.chat.tools import result_headings, written
from phiserve.core import Conversation, ToolCall, Turn
from phiserve.core import Part as InnerPart
from phiserve.protocol.decisions.content import parts_of
from phiserve.protocol.decisions.items import (
    Call,
    DecisionAssistantMessage,
    DecisionCustomToolCall,
    DecisionCustomToolCallOutput,
    DecisionFunctionCall,
    DecisionFunctionCallOutput,
    DecisionInstructionMessage,
    DecisionUserMessage,
    Message,
    Output,
)
from phiserve.protocol.parsing import Uncoded


def build_conversation(given: str | Sequence[object], owner: str = "") -> Conversation:
    """Turn a request's input into a conversation, which may name the files of `owner`.

    Raises InvalidRequest for text that is not Unicode, and for an output whose call is not there.
    """
    if isinstance(given, str):
        turns = [Turn("user", join_parts([checked_text(given, "input")]))]
    else:
        turns = _Turns().of(given)
    return Conversation(tuple(turns), param="input", owner=owner)


class _Turns:
    """Builds turns from items. Calls that follow each other, and a message before them, are one answer."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._open: list[tuple[str, ToolCall]] = []
        self._headings: dict[str, str] = {}

    def of(self, items: Sequence[object]) -> list[Turn]:
        """The turns of all items."""
        for index, item in enumerate(items):
            param = f"input[{index}]"
            match item:
                case DecisionFunctionCall() | DecisionCustomToolCall():
                    self._open.append((item.call_id, _call(item, param)))
                    continue
                case DecisionUserMessage() | DecisionInstructionMessage() | DecisionAssistantMessage():
                    self._end_calls()
                    self._turns.append(_message(item, param))
                case DecisionFunctionCallOutput() | DecisionCustomToolCallOutput():
                    self._end_calls()
                    self._turns.append(self._result(item, param))
        self._end_calls()
        return self._turns

    def _end_calls(self) -> None:
        """Calls that stand open are the end of an answer."""
        if not self._open:
            return
        parts: list[InnerPart] = []
        if self._turns and self._turns[-1].role == "assistant":
            parts += self._turns.pop().parts
        calls = [call for _, call in self._open]
        self._turns.append(Turn("assistant", join_parts([*parts, written(calls)])))
        headings = result_headings([call.name for call in calls])
        self._headings |= dict(zip((call_id for call_id, _ in self._open), headings, strict=True))
        self._open = []

    def _result(self, item: Output, param: str) -> Turn:
        heading = self._headings.get(item.call_id)
        if heading is None:
            reason = f"No tool call found for function call output with call_id {item.call_id!r}"
            raise Uncoded(reason, param="input")
        return Turn("user", join_parts([heading, *parts_of(item.output, f"{param}.output")]))


def _call(item: Call, param: str) -> ToolCall:
    name = checked_text(item.name, f"{param}.name")
    if isinstance(item, DecisionCustomToolCall):
        return ToolCall(name, checked_text(item.input, f"{param}.input"))
    return ToolCall(name, checked_text(item.arguments, f"{param}.arguments"))


def _message(item: Message, param: str) -> Turn:
    parts = join_parts(parts_of(item.content, f"{param}.content"))
    match item:
        case DecisionUserMessage():
            return Turn("user", parts)
        case DecisionInstructionMessage():
            return Turn("system", parts)
        case DecisionAssistantMessage():
            return Turn("assistant", parts)
