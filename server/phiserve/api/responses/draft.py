"""Deltas -> a response object: an answer so far, and what it is in the end."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from phiserve.answer import Answer, VisibleDelta
from phiserve.core import FinishReason, TokenLogprob
from phiserve.engine.interface import Delta
from phiserve.errors import InvalidImage, InvalidRequest, Overloaded, RequestError
from phiserve.protocol.responses.response import (
    ErrorCode,
    IncompleteDetails,
    OutputMessage,
    OutputText,
    ResponseFailure,
    ResponseObject,
    ResponseUsage,
)


@dataclass(slots=True)
class Draft:
    """One response while it is being answered. `begun` is what it was before any of the answer."""

    answer: Answer
    begun: ResponseObject
    item_id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    _texts: list[str] = field(default_factory=list)
    _logprobs: list[TokenLogprob] = field(default_factory=list)
    _finish_reason: FinishReason = "stop"

    def feed(self, delta: Delta) -> VisibleDelta:
        """Take in one delta."""
        visible = self.answer.feed(delta)
        self._texts.append(visible.text)
        self._logprobs += visible.logprobs or ()
        if visible.finish_reason is not None:
            self._finish_reason = visible.finish_reason
        return visible

    @property
    def text(self) -> OutputText:
        """All text so far."""
        return OutputText("".join(self._texts), list(self._logprobs))

    @property
    def status(self) -> Literal["completed", "incomplete"]:
        """How an answer that has ended is called."""
        return "completed" if self._finish_reason == "stop" else "incomplete"

    def message(self, status: Literal["completed", "incomplete"]) -> OutputMessage:
        """The answer so far as an item."""
        return OutputMessage(self.item_id, status, [self.text])

    def ended(self) -> ResponseObject:
        """The response, whose answer has ended."""
        is_complete = self.status == "completed"
        return replace(
            self.begun,
            status=self.status,
            completed_at=int(time.time()) if is_complete else None,
            incomplete_details=None if is_complete else IncompleteDetails(),
            output=[self.message(self.status)],
            usage=ResponseUsage.of(self.answer.counts()),
        )

    def failed(self, error: RequestError) -> ResponseObject:
        """The response, in which something failed; what was said stays said."""
        return replace(
            self.begun,
            status="failed",
            error=ResponseFailure(_code_of(error), error.message),
            output=[self.message("incomplete")] if any(self._texts) else [],
        )


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
