"""The events of a streamed response, typed and numbered as OpenAI's."""

from typing import Literal

from msgspec import Struct

from phiserve.core import TokenLogprob
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.response import OutputItem, OutputText, ResponseObject

ResponseEventType = Literal[
    "response.created",
    "response.queued",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
]


class ResponseEvent(Struct, frozen=True):
    """What becomes of the response as a whole."""

    type: ResponseEventType
    sequence_number: int
    response: ResponseObject


class OutputItemEvent(Struct, frozen=True):
    """An item of the response's output begins or has ended."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    sequence_number: int
    item: OutputItem
    output_index: int


class ContentPartEvent(Struct, frozen=True):
    """The text part of a message begins or has ended."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    sequence_number: int
    item_id: str
    part: OutputText
    output_index: int
    content_index: int = 0


class EventTopLogprob(Struct, frozen=True):
    """A candidate at one position; an event's has no bytes."""

    token: str
    logprob: float


class EventLogprob(Struct, frozen=True):
    """The chosen token at one position and the most likely candidates."""

    token: str
    logprob: float
    top_logprobs: list[EventTopLogprob]

    @classmethod
    def of(cls, logprob: TokenLogprob) -> "EventLogprob":
        """The same without bytes."""
        top = [EventTopLogprob(candidate.token, candidate.logprob) for candidate in logprob.top_logprobs]
        return cls(logprob.token, logprob.logprob, top)


class TextDeltaEvent(Struct, frozen=True):
    """More text."""

    sequence_number: int
    item_id: str
    delta: str
    logprobs: list[EventLogprob]
    output_index: int
    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    content_index: int = 0


class TextDoneEvent(Struct, frozen=True):
    """The whole text."""

    sequence_number: int
    item_id: str
    text: str
    logprobs: list[EventLogprob]
    output_index: int
    type: Literal["response.output_text.done"] = "response.output_text.done"
    content_index: int = 0


class ArgumentsDeltaEvent(Struct, frozen=True):
    """More of a call's arguments."""

    sequence_number: int
    item_id: str
    delta: str
    output_index: int
    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"


class ArgumentsDoneEvent(Struct, frozen=True):
    """All of a call's arguments."""

    sequence_number: int
    item_id: str
    name: str
    arguments: str
    output_index: int
    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"


class ErrorEvent(Struct, frozen=True):
    """What failed, with the code and the path that an error's answer would have."""

    sequence_number: int
    message: str
    code: str | None
    param: str | None
    type: Literal["error"] = "error"


Event = (
    ResponseEvent
    | OutputItemEvent
    | ContentPartEvent
    | TextDeltaEvent
    | TextDoneEvent
    | ArgumentsDeltaEvent
    | ArgumentsDoneEvent
    | ErrorEvent
)


def typed_event(payload: Event) -> bytes:
    """One server-sent event, named by its type."""
    return b"event: " + payload.type.encode() + b"\ndata: " + encode_json(payload) + b"\n\n"
