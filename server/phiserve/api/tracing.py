"""A span for each request, and for the parts of its work: made from what is known once it has ended.

Spans tell what lines of the log tell, under OpenTelemetry's names where it has one: never content, a URL or a
key. Import it only where traces are wanted: it brings OpenTelemetry.
"""

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from phiserve.api.request_log import ASKED_OFTEN, REQUEST_ID, RequestRecord, begun_record
from phiserve.trace import Step, Trace

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""Methods that OpenTelemetry knows; others are `_OTHER`, since clients may invent methods, not values."""

NO_FAULT = frozenset({"ok", "client_gone", "not_read"})
"""Outcomes that are no failure of the server's, whatever the status."""

_OPERATIONS = {"/v1/completions": "text_completion"}
"""OpenTelemetry's words for what a route does; all others answer conversations."""

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACE_HEADERS = ("traceparent", "tracestate")


class TracingMiddleware:
    """Exports a span for each request, in the client's trace if it names one.

    Within it the request's record is completed (`api.request_log`). `model` is the served one's name.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer, model: str) -> None:
        self._app = app
        self._tracer = tracer
        self._model = model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a trace; its span is exported once the request has ended in whatever way.

        What asks every few seconds how the server is has no span while all is well.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = begun_record(scope)
        clock = _Clock()
        method = scope["method"] if scope["method"] in METHODS else "_OTHER"
        span = self._tracer.start_span(
            method, _parent_of(scope), SpanKind.SERVER, start_time=clock.at(record.arrived_at)
        )
        record.trace = Trace(_headers_of(span))
        try:
            await self._app(scope, receive, send)
        finally:
            if not (record.route in ASKED_OFTEN and record.outcome == "ok"):
                span.update_name(f"{method} {record.route}")
                span.set_attributes({"http.request.method": method, **_of_request(scope, record)})
                if _is_fault(record):
                    span.set_status(StatusCode.ERROR)
                self._end(span, record, clock)

    def _end(self, span: Span, record: RequestRecord, clock: "_Clock") -> None:
        """End a request's span now, after those of the parts of its work."""
        ended_at = time.monotonic()
        if record.stream is not None:
            span.set_attributes(_of_chat(record, self._model))
        if (
            span.is_recording() and record.trace is not None
        ):  # or the client, or the sampler, wants none of it
            context = set_span_in_context(span)
            for step in (*record.trace.steps, *_generation(record, ended_at)):
                part = self._tracer.start_span(step.name, context, start_time=clock.at(step.began_at))
                part.end(clock.at(step.ended_at))
        span.end(clock.at(ended_at))


class _Clock:
    """Tells moments of `time.monotonic()` in nanoseconds since 1970, by one look at both clocks."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def at(self, moment: float) -> int:
        return self._offset_ns + int(moment * 1e9)


def _parent_of(scope: Scope) -> Context:
    """The client's own span, if it sent one by W3C Trace Context."""
    headers = Headers(scope=scope)
    return _PROPAGATOR.extract({name: headers[name] for name in _TRACE_HEADERS if name in headers})


def _headers_of(span: Span) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers, set_span_in_context(span))
    return headers


def _of_request(scope: Scope, record: RequestRecord) -> dict[str, AttributeValue]:
    """What holds of every request. The path is left out: clients may write anything into it."""
    known = {
        "http.route": record.route,
        "http.response.status_code": record.status,
        "network.protocol.version": scope["http_version"],
        "url.scheme": scope["scheme"],
        "error.type": record.outcome if _is_fault(record) else None,
        "phiserve.request_id": scope.get(REQUEST_ID),
        "phiserve.owner": record.owner,
        "phiserve.outcome": record.outcome,
    }
    return {name: value for name, value in known.items() if value is not None}


def _of_chat(record: RequestRecord, model: str) -> dict[str, AttributeValue]:
    """What a request asks of the model, and what it costs."""
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": _OPERATIONS.get(record.route or "", "chat"),
        "gen_ai.provider.name": "phiserve",
        "gen_ai.request.model": model,
        "gen_ai.request.stream": bool(record.stream),
        "phiserve.images": record.images or 0,
    }
    answer = record.answer
    if answer is not None:
        counts = answer.counts()
        attributes["gen_ai.usage.input_tokens"] = counts.prompt
        attributes["gen_ai.usage.output_tokens"] = counts.completion
        attributes["gen_ai.usage.cache_read.input_tokens"] = counts.cached
        attributes["phiserve.image_tokens"] = counts.image
        if record.stream and answer.began_at is not None:
            attributes["gen_ai.response.time_to_first_chunk"] = answer.began_at - record.arrived_at
    return attributes


def _is_fault(record: RequestRecord) -> bool:
    """Whether the server failed: by its status, or after it by the end of a stream."""
    if record.outcome in NO_FAULT:
        return False
    return record.status is None or not 400 <= record.status < 500


def _generation(record: RequestRecord, ended_at: float) -> list[Step]:
    """The engine's part of the work.

    A whole answer comes at once: when its first token was there, nobody knows.
    """
    if record.sent_at is None or record.answer is None:
        return []
    first_at = record.answer.began_at if record.stream else None
    if first_at is None:
        return [Step("generate", record.sent_at, ended_at)]
    return [
        Step("generate first token", record.sent_at, first_at),
        Step("generate other tokens", first_at, ended_at),
    ]
