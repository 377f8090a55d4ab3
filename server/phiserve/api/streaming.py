"""A streamed answer as an ASGI response that knows when its client has gone.

Starlette's own StreamingResponse learns of it only from a failing send; an abandoned answer must stop at
once.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from phiserve.api.request_log import RequestRecord, record_of
from phiserve.api.shutdown import ends_with_server, shutting_down
from phiserve.errors import EngineFailure, RequestError
from phiserve.protocol.events import DONE, KEEPALIVE, error_response, event

_LOG = logging.getLogger(__name__)
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
PLAIN_SEND = "phiserve.plain_send"
"""Scope key of the unwrapped `send`: events bypass middleware, which looks at a response's head alone."""

_Result = TypeVar("_Result")
Frames = AsyncGenerator[bytes, None]


class ClientGone(Exception):
    """The client hung up before it was answered; nobody is left to tell."""


async def unless_hung_up(receive: Receive, work: Awaitable[_Result]) -> _Result:
    """Run `work`, cancelled if the client hangs up first.

    The body must have been read. Raises ClientGone.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.create_task(_hung_up(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


def failure_events(error: RequestError) -> bytes:
    """How a stream of chat chunks ends in an error: OpenAI's envelope as an event, and the end mark."""
    return event(error_response(error)) + DONE


async def with_keepalive(frames: Frames, interval_s: float) -> Frames:
    """The same frames, with a comment whenever none came for `interval_s` seconds."""
    upcoming = asyncio.ensure_future(anext(frames, None))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=interval_s)
            if not done:
                yield KEEPALIVE
                continue
            if (upcoming_frame := upcoming.result()) is None:
                return
            yield upcoming_frame
            upcoming = asyncio.ensure_future(anext(frames, None))
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)
        await frames.aclose()


class EventStream(Response):
    """Sends frames as they come and closes them when the client hangs up. Make it with `open`."""

    def __init__(self, first: bytes, frames: Frames, failure: Callable[[RequestError], bytes]) -> None:
        super().__init__()
        self._first = first
        self._frames = frames
        self._failure = failure
        self._has_started = False

    @classmethod
    async def open(
        cls, frames: Frames, failure: Callable[[RequestError], bytes] = failure_events
    ) -> "EventStream":
        """Wait for the first frame.

        What fails before it is raised here, so that it is answered with a status of its own; `failure` writes
        the events that end a stream in which something failed later.
        """
        try:
            return cls(await anext(frames), frames, failure)
        except BaseException:
            await frames.aclose()
            raise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end or until the client hangs up; if the server ends first, the stream says so."""
        send_body = scope.get(PLAIN_SEND, send)
        record = record_of(scope)
        try:
            await unless_hung_up(receive, self._send_all(send, send_body, record))
        except asyncio.CancelledError:
            if not (self._has_started and ends_with_server(scope)):
                raise
            record.end("cancelled")
            await send_body(_body(self._failure(shutting_down())))
            await send_body({"type": "http.response.body", "body": b""})
        except ClientGone:
            record.end("client_gone")
            _LOG.debug("a client hung up while its answer was streamed")
        finally:
            await self._frames.aclose()

    async def _send_all(self, send: Send, send_body: Send, record: RequestRecord) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
        self._has_started = True
        await send_body(_body(self._first))
        try:
            async for frame in self._frames:
                await send_body(_body(frame))
        except RequestError as error:
            record.end(error)
            await send_body(_body(self._failure(error)))
        except Exception:
            _LOG.exception("a stream failed")
            record.end("internal_error")
            await send_body(_body(self._failure(EngineFailure("The server failed on this request"))))
        await send_body({"type": "http.response.body", "body": b""})


def _body(frame: bytes) -> Message:
    return {"type": "http.response.body", "body": frame, "more_body": True}


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
