"""A process that has no descriptor left goes on with what it has begun, and serves again afterwards."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import uvloop
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from serving import GET, connected, echo, limits, serving

NEWCOMERS = 5
WAIT_S = 1.0
BUSY_S = 0.5
"""Processor time that a spinning loop would exceed in `WAIT_S`; accepting and closing takes milliseconds."""


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Every descriptor that this process may have is in use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_descriptor_for_new_connections() -> None:
    """A running stream comes whole, newcomers are not left in doubt, and the loop does not spin."""

    async def run() -> None:
        go_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] == "/stream":
                await StreamingResponse(_words(go_on.wait))(scope, receive, send)
            else:
                await echo(scope, receive, send)

        async with serving(app, limits=limits()) as server, connected(server.port) as client:
            await client.send(GET.replace(b"/ ", b"/stream "))
            await client.until(b"first")
            newcomers = [socket.socket() for _ in range(NEWCOMERS)]
            with no_descriptor_left():
                for newcomer in newcomers:
                    newcomer.setblocking(False)
                    with suppress(BlockingIOError):
                        newcomer.connect(("127.0.0.1", server.port))
                began = time.process_time()
                await asyncio.sleep(WAIT_S)
                assert time.process_time() - began < BUSY_S
                go_on.set()
                await client.until(b"second")
            for newcomer in newcomers:
                assert await _end_of(newcomer) in (b"turned away", b"answered")
            async with connected(server.port) as later:
                await later.send(GET)
                await later.until(b"GET 1.1 ")

    uvloop.run(run())


async def _end_of(newcomer: socket.socket) -> bytes:
    """What becomes of a connection that was begun when there was no descriptor for it."""
    loop = asyncio.get_running_loop()
    with newcomer:
        try:
            await loop.sock_sendall(newcomer, GET)
            answer = await asyncio.wait_for(loop.sock_recv(newcomer, 65536), 20)
        except ConnectionError:
            return b"turned away"
        return b"answered" if b" 200 OK" in answer else b"turned away" + answer


async def _words(wait: Callable[[], Awaitable[object]]) -> AsyncIterator[str]:
    yield "first"
    await wait()
    yield "second"
