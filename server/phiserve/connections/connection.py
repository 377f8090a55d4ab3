"""One client's connection: uvicorn's, with deadlines, limits, and HTTP/1 as real clients speak it.

uvicorn has none of these: its httptools protocol reads heads of any size for any time, loses the body of a
request that offers another protocol, and answers HTTP/1.0 in chunks. Its h11 protocol bounds heads alone.
"""

import time
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections.abc import Callable
from typing import Any, NoReturn, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from phiserve.api.streaming import PLAIN_SEND
from phiserve.connections.ends import RequestEnds, Scope
from phiserve.connections.framing import ended_by_close, head_without_offer
from phiserve.connections.limits import MAX_HEAD_BYTES, MIN_BODY_RATE
from phiserve.connections.open import TOO_LONG, OpenConnections
from phiserve.connections.reader_watch import ReaderWatch
from phiserve.connections.refusal import head_too_large, refusal
from phiserve.errors import (
    InvalidRequest,
    MethodNotAllowed,
    RequestError,
    RequestTimeout,
    ServerBusy,
)

_LINGER_S = 2.0
"""Seconds in which a refused client may read why: closing at once would discard it while the client sends."""

_MAX_PIPELINED = 16
"""Requests that may wait behind a running one of their connection; browsers and libraries send none."""


class ClientConnection(HttpToolsProtocol):
    """A connection that refuses what is too much, and ends where its client does not read.

    Heads that are too large get 431, heads and bodies that take too long 408, requests over the number of
    connections 503.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
        *,
        connections: OpenConnections,
        ends: RequestEnds,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._open_connections = connections
        self._ends = ends
        self._began_at = 0.0
        self._limits = connections.limits
        self._head_bytes = 0
        self._unproductive_bytes = 0
        self._body_bytes = 0
        self._body_began = 0.0
        self._deadline: TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None
        self._is_refused = False

    # What comes

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Wait for a request, as long as it may take."""
        super().connection_made(transport)
        self._began_at = time.monotonic()
        self._reader = ReaderWatch(transport, self._limits.read_timeout_s, self.loop, self._cut)
        self._set_deadline(self._limits.head_timeout_s, self._head_is_late)
        self._open_connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        self._set_deadline(None)
        self._reader.stop()
        self._unset_keepalive_if_required()
        self._open_connections.closed(self)
        super().connection_lost(exc)
        if self._answering is not None and self._is_running():  # uvicorn tells the last of several only
            self._disconnect(self._answering)

    def data_received(self, data: bytes) -> None:
        """Parse it; bytes that make no progress (a head, trailers, extensions of chunks) are bounded."""
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._unproductive_bytes += len(data)
        self._parse(data)
        if self._unproductive_bytes > MAX_HEAD_BYTES:
            self._refuse(head_too_large())
        elif self._deadline is None and not (self._is_refused or self._is_running()):
            self._set_deadline(self._limits.head_timeout_s, self._head_is_late)

    def _parse(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            version = self.parser.get_http_version().encode()
            request_line = b" ".join([self.parser.get_method(), self.url, b"HTTP/" + version])
            head = head_without_offer(request_line, self.headers)
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
            self._parse(head + data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(InvalidRequest("The request is not valid HTTP/1.1", code="invalid_http"))

    # What the parser finds

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._head_bytes = 0
        self._began_at = time.monotonic()

    def on_url(self, url: bytes) -> None:
        """A part of the address; the head is counted."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head or a trailer."""
        self._count_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin the request, or refuse it; one that offers another protocol is parsed anew without that."""
        if self.parser.get_method() == b"CONNECT":
            self._refuse_within_parser(MethodNotAllowed("This server is no proxy"))
        if self.parser.should_upgrade():
            return
        self._unproductive_bytes = 0
        self._body_bytes = 0
        self._body_began = self.loop.time()
        if not self._open_connections.begins(self):
            self._refuse_within_parser(ServerBusy("The server has too many connections"))
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._refuse_within_parser(InvalidRequest("Too many requests at once on a connection"))
        self._set_deadline(self._limits.body_timeout_s, self._check_body)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Progress."""
        self._unproductive_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there."""
        if self.parser.should_upgrade():
            return
        self._unproductive_bytes = 0
        self._set_deadline(None)
        super().on_message_complete()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_within_parser(head_too_large())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        if cycle.scope["http_version"] == "1.0":
            app = ended_by_close(app, cycle)
        else:
            _scope_of(cycle)[PLAIN_SEND] = cycle.send
        super()._start_asgi_task(cycle, app)

    def _is_running(self) -> bool:
        """Whether a request is being answered."""
        return self._answering is not None and not self._answering.response_complete

    def close_after_answer(self) -> None:
        """Take no further request after the one that is being answered."""
        if self._is_running():
            self.cycle.keep_alive = False

    # Deadlines

    def _set_deadline(self, seconds: float | None, missed: Callable[[], None] | None = None) -> None:
        """The one deadline for what the client sends; None for none."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None and missed is not None:
            self._deadline = self.loop.call_later(seconds, missed)

    def _head_is_late(self) -> None:
        self._deadline = None
        if self._unproductive_bytes == 0:
            TOO_LONG.inc()
            self.transport.abort()  # silent from the beginning: nobody waits for an answer
        else:
            seconds = f"{self._limits.head_timeout_s:g} s"
            self._refuse(RequestTimeout(f"The request's head did not come within {seconds}"))

    def _check_body(self) -> None:
        """Refuse a body that comes more slowly than it may; time in which we did not read does not count."""
        self._deadline = None
        now = self.loop.time()
        if self.flow.read_paused:
            self._body_began, self._body_bytes = now, 0
        allowed_s = self._limits.body_timeout_s + self._body_bytes / MIN_BODY_RATE
        if (left := self._body_began + allowed_s - now) > 0:
            self._set_deadline(left, self._check_body)
        elif self.cycle.response_complete:
            self.transport.abort()  # answered before its body had come
        else:
            self._refuse(RequestTimeout(f"The request's body did not come within {allowed_s:.0f} s"))

    # What is answered

    def _refuse_within_parser(self, error: RequestError) -> NoReturn:
        """Refuse, and stop the parser, which calls this."""
        self._refuse(error)
        raise _RefusedError

    def send_400_response(self, msg: str) -> None:
        """In OpenAI's envelope."""
        self._refuse(InvalidRequest(msg, code="invalid_http"))

    def _refuse(self, error: RequestError) -> None:
        """Answer a request that the application does not see to its end, and close.

        While an answer is on its way, there is nothing left to be said: the connection ends.
        """
        if self._is_refused:
            return
        self._is_refused = True
        self._set_deadline(None)
        running = self._answering if self._is_running() else None
        refused = None if self.pipeline else running
        scope = None if refused is None else _scope_of(refused)
        request_id = self._ends.refused(error, scope, self._began_at)
        is_answering = running is not None and (running.response_started or refused is None)
        if running is not None:
            running.waiting_for_100_continue = False  # or `receive` would write after our last word
            self._disconnect(running)
        if self.transport.is_closing() or is_answering:
            self.transport.abort()
            return
        self.flow.resume_reading()
        self.transport.write(refusal(error, request_id))
        self.transport.write_eof()
        self._open_connections.rests(self)
        self._deadline = self.loop.call_later(_LINGER_S, self.transport.abort)

    @staticmethod
    def _disconnect(running: RequestResponseCycle) -> None:
        """Tell an application that its client has gone."""
        running.disconnected = True
        running.message_event.set()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to read the last of a connection that closes."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._reader.start()
        elif self.cycle.response_complete:
            self._open_connections.rests(self)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose client has not read its answer."""
        super().timeout_keep_alive_handler()
        self._reader.start()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write: `send` waits, and the client has a deadline."""
        super().pause_writing()
        self._reader.start()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._reader.stop()

    def _cut(self) -> None:
        """End the connection of a client that does not read."""
        if self._answering is not None:
            self._ends.not_read(_scope_of(self._answering), is_running=self._is_running())
        self.transport.abort()


class _RefusedError(Exception):
    """Stops the parser; the answer is already written."""


def _scope_of(cycle: RequestResponseCycle) -> Scope:
    return cast("Scope", cycle.scope)
