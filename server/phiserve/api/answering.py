"""What all routes that answer do alike: read the body, have it prepared, stream what a writer writes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from fastapi import Request

from phiserve.access.visit import Visit
from phiserve.answer import Answer
from phiserve.api.body import read_body
from phiserve.api.request_log import RequestRecord, record_of
from phiserve.api.services import Services
from phiserve.api.streaming import EventStream, Frames, failure_events, with_keepalive
from phiserve.core import GenerationRequest
from phiserve.engine.interface import Delta
from phiserve.errors import (
    DeadlineExceeded,
    EngineFailure,
    EngineUnavailable,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    RateLimitReached,
    RequestError,
    RequestTooLarge,
    UnsupportedCoding,
)
from phiserve.protocol.parsing import parse_off_loop
from phiserve.protocol.wire_model import WireModel
from phiserve.trace import step

READING_ERRORS: tuple[type[RequestError], ...] = (
    InvalidRequest,
    ModelNotFound,
    RequestTooLarge,
    UnsupportedCoding,
    RateLimitReached,
)
"""In which a route can end that reads a prompt."""

ANSWERING_ERRORS = (*READING_ERRORS, Overloaded, EngineFailure, EngineUnavailable, DeadlineExceeded)
"""In which a route can end that answers."""

Deltas = AsyncGenerator[Delta, None]

_Wire = TypeVar("_Wire", bound=WireModel)


class Writer(Protocol):
    """Writes the events of one answer."""

    def feed(self, delta: Delta) -> bytes:
        """The events for one delta, or nothing."""

    def end(self) -> bytes:
        """The last events, after all deltas."""


async def read_wire(request: Request, services: Services, wire: type[_Wire]) -> _Wire:
    """A request's body, read within the limits and validated. Raises as `read_body`, and InvalidRequest."""
    with step(record_of(request.scope).trace, "read body"):
        async with read_body(request, services.settings.max_body_bytes) as body:
            return await parse_off_loop(body, wire)


async def begin_answer(
    services: Services, inner: GenerationRequest, visit: Visit, record: RequestRecord
) -> tuple[Answer, Deltas]:
    """Prepare a request and count it against its key's limits.

    Neither it nor its images are kept longer than the engine needs them. Close the deltas to abort it. Raises
    as `Pipeline.prepare`, and RateLimitReached.
    """
    inner = replace(inner, conversation=services.preparer.shortened(inner.conversation))
    record.stream, record.images = inner.stream, len(inner.conversation.images)
    shown = inner.conversation.shown
    await visit.take_images(shown)
    prepared = await services.pipeline.prepare(inner, record.trace, partial(visit.take_pages, shown))
    prompt = prepared.prompt
    record.images = len(prompt.images)
    try:
        await visit.take_prompt(len(prompt.ids), inner.conversation.param)
    except BaseException:
        prepared.place.leave()  # rather than when nothing holds it any more
        raise
    answer = Answer(
        prompt.ids,
        prompt.num_image_tokens,
        services.vocabulary,
        inner.top_logprobs,
        keeps_first_space=inner.keeps_first_space,
        echo=inner.conversation.text_before if inner.echo else "",
    )
    visit.answering(answer.counts)
    record.sent(answer)
    return answer, services.pipeline.deltas(prepared)


async def stream_answer(
    services: Services,
    deltas: Deltas,
    writer: Writer,
    failure: Callable[[RequestError], bytes] = failure_events,
) -> EventStream:
    """Stream what `writer` writes; `failure` writes how a stream that has begun ends in an error.

    Raises what fails before the first event.
    """
    return await stream_frames(services, _frames(deltas, writer), failure)


async def stream_frames(
    services: Services, frames: Frames, failure: Callable[[RequestError], bytes]
) -> EventStream:
    """Stream events that are written already, as `stream_answer` does. Raises what fails before the first."""
    interval_s = services.settings.sse_keepalive_s
    kept_alive = frames if interval_s is None else with_keepalive(frames, interval_s)
    return await EventStream.open(kept_alive, failure)


async def _frames(deltas: Deltas, writer: Writer) -> Frames:
    async with aclosing(deltas):
        async for delta in deltas:
            if events := writer.feed(delta):
                yield events
    yield writer.end()
