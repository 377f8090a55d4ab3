"""Deltas -> a response, whole or as events in OpenAI's order."""

from collections.abc import AsyncIterable
from typing import Literal

from phiserve.api.responses.draft import Draft
from phiserve.engine.interface import Delta
from phiserve.errors import RequestError
from phiserve.protocol.responses.events import (
    ContentPartEvent,
    ErrorEvent,
    EventLogprob,
    OutputItemEvent,
    ResponseEvent,
    TextDeltaEvent,
    TextDoneEvent,
    typed_event,
)
from phiserve.protocol.responses.response import OutputMessage, OutputText, ResponseObject

_LAST: dict[str, Literal["response.completed", "response.incomplete"]] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
}
"""The last event's type, by the status."""


class EventWriter:
    """Writes the events of one response: `feed` for each delta, then `end`, or `fail` at any time.

    Each returns one or several events, or nothing.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._num_events = 0
        self._has_begun = False

    def feed(self, delta: Delta) -> bytes:
        """The events for one delta: what begins comes before the first text."""
        visible = self._draft.feed(delta)
        events = b""
        if not self._has_begun:
            message = OutputMessage(self._draft.item_id, "in_progress", [])
            events = (
                self._begin()
                + typed_event(OutputItemEvent("response.output_item.added", self._number(), message))
                + self._part("response.content_part.added", OutputText("", []))
            )
        if not (visible.text or visible.logprobs):  # held back, or none
            return events
        logprobs = [EventLogprob.of(logprob) for logprob in visible.logprobs or ()]
        return events + typed_event(
            TextDeltaEvent(self._number(), self._draft.item_id, visible.text, logprobs)
        )

    def end(self) -> bytes:
        """What has ended, from the text to the response."""
        text, ended = self._draft.text, self._draft.ended()
        logprobs = [EventLogprob.of(logprob) for logprob in text.logprobs]
        return (
            typed_event(TextDoneEvent(self._number(), self._draft.item_id, text.text, logprobs))
            + self._part("response.content_part.done", text)
            + typed_event(OutputItemEvent("response.output_item.done", self._number(), ended.output[0]))
            + typed_event(ResponseEvent(_LAST[self._draft.status], self._number(), ended))
        )

    def fail(self, error: RequestError) -> bytes:
        """The error, then the response that failed. Nothing that was open is said to have ended."""
        begin = b"" if self._has_begun else self._begin()
        told = ErrorEvent(self._number(), error.message, error.code, error.param)
        failed = ResponseEvent("response.failed", self._number(), self._draft.failed(error))
        return begin + typed_event(told) + typed_event(failed)

    def _begin(self) -> bytes:
        self._has_begun = True
        begun = self._draft.begun
        return typed_event(ResponseEvent("response.created", self._number(), begun)) + typed_event(
            ResponseEvent("response.in_progress", self._number(), begun)
        )

    def _part(
        self, kind: Literal["response.content_part.added", "response.content_part.done"], part: OutputText
    ) -> bytes:
        return typed_event(ContentPartEvent(kind, self._number(), self._draft.item_id, part))

    def _number(self) -> int:
        """The next event's: from 0 upwards, without a gap."""
        self._num_events += 1
        return self._num_events - 1


async def collect(draft: Draft, deltas: AsyncIterable[Delta]) -> ResponseObject:
    """Consume all deltas and build the response."""
    async for delta in deltas:
        draft.feed(delta)
    return draft.ended()
