"""Deltas -> a response, whole or as events in OpenAI's order."""

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Literal

from phiserve.api.responses.draft import CallItem, Draft, ItemAdded, ItemBegun, ItemEnded, Step, TextItem
from phiserve.engine.interface import Delta
from phiserve.errors import RequestError
from phiserve.protocol.responses.events import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ContentPartEvent,
    ErrorEvent,
    EventLogprob,
    OutputItemEvent,
    ResponseEvent,
    ResponseEventType,
    TextDeltaEvent,
    TextDoneEvent,
    typed_event,
)
from phiserve.protocol.responses.response import OutputCall, OutputMessage, OutputText, ResponseObject

_LAST: dict[str, ResponseEventType] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
}
"""The last event's type, by the status."""


class Events:
    """Writes events of one response, numbered from `first` upwards without a gap."""

    def __init__(self, first: int = 0) -> None:
        self.next_number = first

    def queued(self, response: ResponseObject) -> bytes:
        """That the response is made, and waits for its turn."""
        return self._of_response("response.created", response) + self._of_response(
            "response.queued", response
        )

    def created(self, response: ResponseObject) -> bytes:
        """That the response is made, and answered at once."""
        return self._of_response("response.created", response) + self.in_progress(response)

    def in_progress(self, response: ResponseObject) -> bytes:
        """That the response is being answered."""
        return self._of_response("response.in_progress", response)

    def steps(self, steps: Iterable[Step]) -> bytes:
        """What happened to its items."""
        return b"".join(map(self._of_step, steps))

    def error(self, message: str, code: str | None, param: str | None = None) -> bytes:
        """What failed."""
        return typed_event(ErrorEvent(self._number(), message, code, param))

    def last(self, response: ResponseObject) -> bytes:
        """That the response has ended, and what failed. OpenAI has no event for a cancelled one."""
        if response.status == "cancelled":
            return self.error("The response was cancelled", None)
        if (failure := response.error) is not None:
            return self.error(failure.message, failure.code) + self.failed(response)
        return self._of_response(_LAST[response.status], response)

    def failed(self, response: ResponseObject) -> bytes:
        """That the response has failed. Nothing that was open is said to have ended."""
        return self._of_response("response.failed", response)

    def _of_response(self, kind: ResponseEventType, response: ResponseObject) -> bytes:
        return typed_event(ResponseEvent(kind, self._number(), response))

    def _of_step(self, step: Step) -> bytes:
        match step:
            case ItemBegun(TextItem() as item):
                message = OutputMessage(item.id, "in_progress", [])
                added = OutputItemEvent("response.output_item.added", self._number(), message, item.index)
                return typed_event(added) + self._part("added", item, OutputText("", []))
            case ItemBegun(CallItem() as item):
                call = OutputCall(item.id, item.call_id, item.name, "", "in_progress")
                return typed_event(
                    OutputItemEvent("response.output_item.added", self._number(), call, item.index)
                )
            case ItemAdded():
                return self._added(step)
            case ItemEnded():
                return self._ended(step)
        raise TypeError(step)  # there are no other steps

    def _added(self, step: ItemAdded) -> bytes:
        item = step.item
        if isinstance(item, CallItem):
            return typed_event(ArgumentsDeltaEvent(self._number(), item.id, step.text, item.index))
        if not (step.text or step.logprobs):  # held back, or none
            return b""
        logprobs = [EventLogprob.of(logprob) for logprob in step.logprobs]
        return typed_event(TextDeltaEvent(self._number(), item.id, step.text, logprobs, item.index))

    def _ended(self, step: ItemEnded) -> bytes:
        item = step.item
        if isinstance(item, CallItem):
            arguments = "".join(item.arguments)
            done = typed_event(ArgumentsDoneEvent(self._number(), item.id, item.name, arguments, item.index))
        else:
            text = item.text
            logprobs = [EventLogprob.of(logprob) for logprob in text.logprobs]
            event = TextDoneEvent(self._number(), item.id, text.text, logprobs, item.index)
            done = typed_event(event) + self._part("done", item, text)
        ended = item.written(step.status)
        return done + typed_event(
            OutputItemEvent("response.output_item.done", self._number(), ended, item.index)
        )

    def _part(self, what: Literal["added", "done"], item: TextItem, part: OutputText) -> bytes:
        kind: Literal["response.content_part.added", "response.content_part.done"]
        kind = "response.content_part.added" if what == "added" else "response.content_part.done"
        return typed_event(ContentPartEvent(kind, self._number(), item.id, part, item.index))

    def _number(self) -> int:
        """The next event's: from 0 upwards, without a gap."""
        self.next_number += 1
        return self.next_number - 1


class EventWriter:
    """Writes the events of one response: `feed` for each delta, then `end` and `last`, or `fail` at any time.

    Each returns one or several events, or nothing. `ended` is the response once `end` has been called.
    """

    ended: ResponseObject

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._events = Events()

    @property
    def response_id(self) -> str:
        """Which response it is."""
        return self._draft.begun.id

    @property
    def has_begun(self) -> bool:
        """Whether anything has been written."""
        return self._events.next_number > 0

    def feed(self, delta: Delta) -> bytes:
        """The events for one delta: what begins comes before its first text."""
        return self._begin() + self._events.steps(self._draft.feed(delta))

    def end(self) -> bytes:
        """What has ended, from the text to the item."""
        steps = self._events.steps(self._draft.end())
        self.ended = self._draft.ended()
        return steps

    def last(self) -> bytes:
        """That the response has ended."""
        return self._events.last(self.ended)

    def failed(self, error: RequestError) -> ResponseObject:
        """The response, in which something failed."""
        return self._draft.failed(error)

    def fail(self, error: RequestError) -> bytes:
        """The error, then the response that failed. Nothing that was open is said to have ended."""
        begin = self._begin()
        told = self._events.error(error.message, error.code, error.param)
        return begin + told + self._events.failed(self.failed(error))

    def _begin(self) -> bytes:
        """That the response has begun, unless that has been said."""
        return b"" if self.has_begun else self._events.created(self._draft.begun)


def _tell_nobody(steps: list[Step]) -> None:
    """What happened is told as a whole in the end."""


async def collect(
    draft: Draft, deltas: AsyncIterable[Delta], tell: Callable[[list[Step]], None] = _tell_nobody
) -> ResponseObject:
    """Consume all deltas and build the response; `tell` is called with what happened, as it happens."""
    async for delta in deltas:
        tell(draft.feed(delta))
    tell(draft.end())
    return draft.ended()
