"""Deltas -> a response object: an answer so far as items, and what it is in the end."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from phiserve.answer import Answer
from phiserve.chat.call_reader import ArgumentsRead, CallBegun, CallReader, PieceRead, TextRead
from phiserve.core import FinishReason, TokenLogprob, ToolUse
from phiserve.engine.interface import Delta
from phiserve.errors import InvalidImage, InvalidRequest, Overloaded, RequestError
from phiserve.protocol.responses.response import (
    ErrorCode,
    IncompleteDetails,
    OutputCall,
    OutputItem,
    OutputMessage,
    OutputText,
    ResponseFailure,
    ResponseObject,
    ResponseUsage,
)

ItemStatus = Literal["completed", "incomplete"]


@dataclass(slots=True)
class TextItem:
    """A message of the answer so far; `index`: where it stands in the output."""

    index: int
    id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    texts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    @property
    def text(self) -> OutputText:
        """All text so far."""
        return OutputText("".join(self.texts), list(self.logprobs))

    def written(self, status: ItemStatus) -> OutputMessage:
        """As it stands in a response."""
        return OutputMessage(self.id, status, [self.text])


@dataclass(slots=True)
class CallItem:
    """A call of a tool so far; `index`: where it stands in the output."""

    index: int
    name: str
    id: str = field(default_factory=lambda: f"fc_{uuid.uuid4().hex}")
    call_id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")
    arguments: list[str] = field(default_factory=list)

    def written(self, status: ItemStatus) -> OutputCall:
        """As it stands in a response."""
        return OutputCall(self.id, self.call_id, self.name, "".join(self.arguments), status)


Item = TextItem | CallItem


@dataclass(frozen=True, slots=True)
class ItemBegun:
    """An item begins."""

    item: Item


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """An item gets longer, by text or by a call's arguments."""

    item: Item
    text: str
    logprobs: list[TokenLogprob]


@dataclass(frozen=True, slots=True)
class ItemEnded:
    """An item has ended."""

    item: Item
    status: ItemStatus


Step = ItemBegun | ItemAdded | ItemEnded


class Draft:
    """One response while it is being answered: `feed` for each delta, then `end`; both say what happened.

    `begun` is the response before any of the answer. `tool_use`: which tools the answer may, or must, call.
    """

    def __init__(self, answer: Answer, begun: ResponseObject, tool_use: ToolUse | None = None) -> None:
        self.begun = begun
        self._answer = answer
        self._reader = None if tool_use is None else CallReader(must_call=tool_use.must_call)
        self._items: list[Item] = []
        self._logprobs: list[TokenLogprob] = []  # of text that is held back
        self._finish_reason: FinishReason = "stop"

    def feed(self, delta: Delta) -> list[Step]:
        """Take in one delta."""
        visible = self._answer.feed(delta)
        self._logprobs += visible.logprobs or ()
        pieces: list[PieceRead] = [TextRead(visible.text)]
        if self._reader is not None:
            pieces = self._reader.feed(visible.text)
        if visible.finish_reason is not None:
            self._finish_reason = visible.finish_reason
            pieces += [] if self._reader is None else self._reader.end()
        steps = [step for piece in pieces for step in self._take(piece)]
        return steps + self._left_over() if visible.finish_reason is not None else steps

    def _left_over(self) -> list[Step]:
        """Log-probabilities of a text's last tokens, which were cut before they made a character."""
        is_text = self._reader is None or not self._reader.has_calls
        return self._take(TextRead("")) if self._logprobs and is_text else []

    def end(self) -> list[Step]:
        """The answer is over. One that says nothing is an empty message."""
        begun = [] if self._items else self._begin(TextItem(0))
        return [*begun, ItemEnded(self._items[-1], self.status)]

    @property
    def status(self) -> ItemStatus:
        """How an answer that has ended, and its last item, are called."""
        return "completed" if self._finish_reason == "stop" else "incomplete"

    def ended(self) -> ResponseObject:
        """The response, whose answer has ended."""
        is_complete = self.status == "completed"
        return replace(
            self.begun,
            status=self.status,
            completed_at=int(time.time()) if is_complete else None,
            incomplete_details=None if is_complete else IncompleteDetails(),
            output=self._output(self.status),
            usage=ResponseUsage.of(self._answer.counts()),
        )

    def failed(self, error: RequestError) -> ResponseObject:
        """The response, in which something failed; what was said stays said."""
        failure = ResponseFailure(_code_of(error), error.message)
        return replace(self.begun, status="failed", error=failure, output=self._output("incomplete"))

    @staticmethod
    def nothing_of(begun: ResponseObject, error: RequestError) -> ResponseObject:
        """The response, which failed before there was any of its answer."""
        failure = ResponseFailure(_code_of(error), error.message)
        return replace(
            begun, status="failed", error=failure, output=[], completed_at=None, incomplete_details=None
        )

    def _output(self, last: ItemStatus) -> list[OutputItem]:
        """All items; `last` is the last one's status."""
        return [item.written(last if item is self._items[-1] else "completed") for item in self._items]

    def _take(self, piece: PieceRead) -> list[Step]:
        if isinstance(piece, CallBegun):
            ended = [ItemEnded(self._items[-1], "completed")] if self._items else []
            return [*ended, *self._begin(CallItem(len(self._items), piece.name))]
        begun = [] if self._items else self._begin(TextItem(0))
        item = self._items[-1]
        logprobs: list[TokenLogprob] = []
        if isinstance(item, TextItem):
            item.texts.append(piece.text)
            logprobs, self._logprobs = self._logprobs, []
            item.logprobs += logprobs
        elif isinstance(piece, ArgumentsRead):
            item.arguments.append(piece.text)
        return [*begun, ItemAdded(item, piece.text, logprobs)]

    def _begin(self, item: Item) -> list[Step]:
        self._items.append(item)
        return [ItemBegun(item)]


def _code_of(error: RequestError) -> ErrorCode:
    """OpenAI's word for it: a response's error has fewer words than an error's answer."""
    match error:
        case InvalidImage():
            return "invalid_image"
        case InvalidRequest():
            return "invalid_prompt"
        case Overloaded():
            return "rate_limit_exceeded"
        case _:
            return "server_error"
