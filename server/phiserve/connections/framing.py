"""What HTTP/1 asks of the two ends of a message: offers of another protocol, and clients of HTTP/1.0."""

import sys
from collections.abc import Iterable
from functools import partial

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_OFFERS = frozenset({b"upgrade", b"http2-settings"})
"""Fields, and options of `Connection`, with which a client offers to speak another protocol."""


def head_without_offer(request_line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A request's head written anew without its offer of another protocol.

    A server may pass over it (RFC 9110, section 7.8); the parser would take a body that follows the offer
    for the other protocol's first words.
    """
    lines = [request_line]
    for name, value in headers:
        if name in _OFFERS:
            continue
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option.lower() not in _OFFERS)
        lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def ended_by_close(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """`app` for a client of HTTP/1.0, which knows no chunks: its answer ends with the connection."""
    return partial(_answer_until_close, app, cycle)


async def _answer_until_close(
    app: ASGI3Application,
    cycle: RequestResponseCycle,
    scope: Scope,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
) -> None:
    has_length = False

    async def send_plain(message: ASGISendEvent) -> None:
        """Send, having told the cycle that nothing but the connection's end bounds the body."""
        nonlocal has_length
        if message["type"] == "http.response.start":
            has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            if not has_length:
                cycle.chunked_encoding = False
                cycle.expected_content_length = sys.maxsize
        elif message["type"] == "http.response.body" and not has_length and not message.get("more_body"):
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    await app(scope, receive, send_plain)
