"""One line in the log for each request, and a counter of how requests ended.

Lines tell who asked, how much, how long it took and how it ended; never what was said, a URL or a key.
"""

import asyncio
import select
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, Protocol, TextIO

import structlog
from prometheus_client import Counter, Gauge
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import EventDict, Processor

from phiserve.core import TokenCounts
from phiserve.errors import RequestError
from phiserve.protocol.events import encode_json
from phiserve.trace import Trace

REQUESTS = Counter("phiserve_requests", "Requests that ended, by how they ended.", ["route", "outcome"])
LOST = Counter("phiserve_log_lines_lost", "Lines left out because the log could not take them.")
OWNER_REQUESTS = Counter("phiserve_owner_requests", "Requests that ended, by the key's owner.", ["owner"])
OWNER_TOKENS = Counter(
    "phiserve_owner_tokens",
    "Tokens of requests that ended, by the key's owner; cached and image tokens are prompt tokens too.",
    ["owner", "kind"],
)
OWNER_RUNNING = Gauge("phiserve_owner_running", "Requests in the engine, by the key's owner.", ["owner"])

_KINDS = ("prompt", "cached", "image", "completion")

NO_OWNER = ""
"""Label of requests without a key. Owners are those of the keys file; an address is never a label."""

OTHER_ROUTE = "other"
"""Label of every path without a route: clients may invent paths, not labels."""

CONNECTION_ROUTE = "connection"
"""Label of what ended before an application saw a request, or after it had answered."""

ASKED_OFTEN = frozenset({"/health", "/ready", "/metrics"})
"""What load balancers and Prometheus ask every few seconds: a line is written only where it was not `ok`."""

REQUEST_ID = "phiserve.request_id"
"""Scope key of the request's id."""

LogFormat = Literal["off", "console", "json"]
Outcome = Literal["ok", "refused", "client_gone", "not_read", "cancelled", "internal_error"]

_RECORD = "phiserve.record"
"""Scope key of the request's record."""


class Progress(Protocol):
    """What knows how far an answer is, or all answers to one request."""

    @property
    def began_at(self) -> float | None:
        """When the first delta came, by `time.monotonic()`."""

    def counts(self) -> TokenCounts:
        """Counts so far."""


@dataclass(slots=True)
class RequestRecord:
    """What becomes known of a request on its way. Times are `time.monotonic()`'s, in seconds.

    `owner` is the key's, `images` the number of images shown. `sent_at` is when the engine was given the
    prompt, `answer` what knows the tokens and when the first came; both are None for requests that did not
    come so far. `outcome` is a word of `Outcome` or an error's code. `route` is known at the end;
    `trace` is None where no traces are exported.
    """

    arrived_at: float = field(default_factory=time.monotonic)
    owner: str | None = None
    images: int | None = None
    stream: bool | None = None
    sent_at: float | None = None
    answer: Progress | None = None
    status: int | None = None
    outcome: str | None = None
    route: str | None = None
    trace: Trace | None = None

    def sent(self, answer: Progress) -> None:
        """The engine is given the prompt now; `answer` will count its tokens."""
        if self.sent_at is None:
            _owner_metrics(self.owner).running.inc()
        self.sent_at = time.monotonic()
        self.answer = answer

    def end(self, outcome: Outcome | RequestError) -> None:
        """How the request ends. What was said first holds: what follows from it says less."""
        if self.outcome is None:
            self.outcome = (outcome.code or outcome.type) if isinstance(outcome, RequestError) else outcome


def begun_record(scope: Scope) -> RequestRecord:
    """The record of a request, which begins now if it has not yet."""
    record: RequestRecord = scope.setdefault(_RECORD, RequestRecord())
    return record


def record_of(scope: Scope) -> RequestRecord:
    """The record of a request; one that nobody reads where nothing is logged or counted."""
    record: RequestRecord | None = scope.get(_RECORD)
    return RequestRecord() if record is None else record


class LineLogger(Protocol):
    """What writes lines: structlog's loggers, as far as they are used here."""

    def info(self, event: str, **fields: object) -> object:
        """Write one line."""


def line_logger(log_format: LogFormat, file: TextIO | None = None) -> LineLogger | None:
    """A logger that writes to `file`, by default standard output; None for `off`.

    It never waits: a line that the file does not take at once is left out.
    """
    if log_format == "off":
        return None
    file = file or sys.stdout
    renderer: Processor
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer(serializer=_json)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=file.isatty(), pad_event_to=0, sort_keys=False)
    logger: LineLogger = structlog.wrap_logger(
        structlog.PrintLogger(file),
        processors=[_LeaveOut(file), structlog.processors.TimeStamper("iso", utc=True), renderer],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


class _LeaveOut:
    """Drops a line where writing it would stop the event loop, because the pipe's reader has stopped.

    A pipe that poll calls writable takes 4096 bytes (pipe(7)), several times what a line has.
    """

    def __init__(self, file: TextIO) -> None:
        self._poll: select.poll | None = None
        try:
            descriptor = file.fileno()
        except (OSError, ValueError):  # in memory
            return
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def __call__(self, logger: object, method: str, line: EventDict) -> EventDict:
        """As a structlog processor."""
        if self._poll is not None and not self._poll.poll(0):
            LOST.inc()
            raise structlog.DropEvent
        return line


class RequestLog:
    """Counts how requests ended, and writes a line for each; without a `logger`, no lines."""

    def __init__(self, logger: LineLogger | None = None) -> None:
        self._logger = logger

    def tell(self, route: str, request_id: str | None, method: str | None, record: RequestRecord) -> None:
        """A request has ended. What is None is not known."""
        REQUESTS.labels(route, record.outcome).inc()
        if route in ASKED_OFTEN and record.outcome == "ok":
            return
        if route != CONNECTION_ROUTE:
            _count_for_owner(record)
        if self._logger is None:
            return
        known = {"id": request_id, "route": route, "method": method, **_fields(record)}
        fields = {name: value for name, value in known.items() if value is not None}
        try:
            self._logger.info("request", **fields)
        except (BrokenPipeError, ValueError):  # nobody reads standard output any more, nor will
            self._logger = None
        except OSError:  # the disk is full, say: no reason to fail requests, and it may have room again
            LOST.inc()


class _OwnerMetrics:
    """The metrics of one owner, looked up once."""

    def __init__(self, owner: str) -> None:
        self.requests = OWNER_REQUESTS.labels(owner)
        self.running = OWNER_RUNNING.labels(owner)
        self._tokens = {kind: OWNER_TOKENS.labels(owner, kind) for kind in _KINDS}

    def count(self, counts: TokenCounts) -> None:
        """Count the tokens of a request that has ended."""
        for kind, counter in self._tokens.items():
            counter.inc(getattr(counts, kind))


@cache
def _owner_metrics(owner: str | None) -> _OwnerMetrics:
    return _OwnerMetrics(owner or NO_OWNER)


def _count_for_owner(record: RequestRecord) -> None:
    metrics = _owner_metrics(record.owner)
    metrics.requests.inc()
    if record.sent_at is not None:
        metrics.running.dec()
    if record.answer is not None:
        metrics.count(record.answer.counts())


class RequestLogMiddleware:
    """Writes the line and counts, once the request has ended in whatever way.

    It sees the head of a response; a stream's events bypass it (`api.streaming`). `paths` are the routes'.
    """

    def __init__(self, app: ASGIApp, paths: Sequence[str], log: RequestLog) -> None:
        self._app = app
        self._routes = frozenset(path for path in paths if "{" not in path)
        self._families = [(compile_path(path)[0], path) for path in paths if "{" in path]
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with a record that others fill in."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = begun_record(scope)

        async def send_noting_status(message: Message) -> None:
            if message["type"] == "http.response.start" and record.status is None:
                record.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_noting_status)
            record.end("ok" if (record.status or 0) < 400 else "refused")  # a preflight, say
        except asyncio.CancelledError:
            record.end("cancelled")
            raise
        except Exception:
            record.end("internal_error")
            raise
        finally:
            record.route = self._route_of(scope["path"])
            self._log.tell(record.route, scope.get(REQUEST_ID), scope["method"], record)

    def _route_of(self, path: str) -> str:
        """The route of a path, also where the request was refused before any route was looked for."""
        if path in self._routes:
            return path
        return next((route for pattern, route in self._families if pattern.match(path)), OTHER_ROUTE)


def _fields(record: RequestRecord) -> dict[str, object | None]:
    """The fields of a line, None where they are not known; seconds since the request's arrival."""
    answer, arrived_at = record.answer, record.arrived_at
    fields: dict[str, object | None] = {
        "outcome": record.outcome,
        "status": record.status,
        "owner": record.owner,
        "stream": record.stream,
        "images": record.images,
    }
    if answer is not None:
        counts = answer.counts()
        fields["prompt_tokens"] = counts.prompt
        fields["completion_tokens"] = counts.completion
        fields["cached_tokens"] = counts.cached
        fields["image_tokens"] = counts.image
        fields["queued_s"] = _seconds(arrived_at, record.sent_at)
        # A whole answer comes from the engine at once: when its first token was there, nobody knows.
        fields["first_token_s"] = _seconds(arrived_at, answer.began_at) if record.stream else None
    fields["total_s"] = _seconds(arrived_at, time.monotonic())
    return fields


def _seconds(since: float, until: float | None) -> float | None:
    return None if until is None else round(until - since, 4)


def _json(line: object, **options: object) -> str:
    """As `structlog.processors.JSONRenderer` wants it."""
    return encode_json(line).decode()
