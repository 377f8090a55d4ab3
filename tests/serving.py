"""Our server on a free port, around any application, inside the test's own event loop; raw clients for it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvloop
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from phiserve.api.request_log import RequestLog
from phiserve.api.shutdown import Shutdown
from phiserve.connections.limits import ConnectionLimits
from phiserve.connections.server import DrainingServer, server_config

GET = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"


@dataclass
class Serving:
    """A running server, and the task that ends with it."""

    server: DrainingServer
    port: int
    ended: "asyncio.Task[None]"


@asynccontextmanager
async def serving(
    app: ASGIApp,
    *,
    limits: ConnectionLimits | None = None,
    shutdown: Shutdown | None = None,
    grace_s: float = 10,
    delay_s: float = 0,
    log: RequestLog | None = None,
) -> AsyncIterator[Serving]:
    """Serve until the context is left; a test may have ended it before."""
    limits = limits or ConnectionLimits(max_connections=100)
    began = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        server = DrainingServer(
            server_config(app, limits, log or RequestLog()),
            shutdown or Shutdown(),
            grace_s=grace_s,
            delay_s=delay_s,
            announce=began.set,
        )
        ended = asyncio.create_task(server.serve(sockets=[listener]))
        await began.wait()
        try:
            yield Serving(server, port, ended)
        finally:
            server.should_exit = server.force_exit = True
            await asyncio.wait_for(ended, 30)


@dataclass
class RawClient:
    """A connection on which bytes are sent and read as they are."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send, even if the server has closed."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def rest(self) -> bytes:
        """All that comes until the server closes; it must, within 20 s."""
        received = b""
        with suppress(ConnectionError):
            while data := await asyncio.wait_for(self.reader.read(65536), 20):
                received += data
        return received

    async def until(self, end: bytes) -> bytes:
        """What comes, up to and with `end`."""
        return await asyncio.wait_for(self.reader.readuntil(end), 20)

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawClient]:
    """A raw client, closed at the end."""
    client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield client
    finally:
        await client.close()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with method, version and body."""
    if scope["type"] == "http":
        request = Request(scope, receive)
        said = f"{request.method} {scope['http_version']} ".encode() + await request.body()
        await PlainTextResponse(said)(scope, receive, send)


def limits(**changes: Any) -> ConnectionLimits:
    """Limits with room for every test, but for what is said."""
    return ConnectionLimits(**({"max_connections": 100} | changes))


def answers(*requests: bytes, app: ASGIApp = echo, log: RequestLog | None = None, **changes: Any) -> bytes:
    """What comes on one connection until the server closes it; each part is sent after a turn of the loop."""

    async def run() -> bytes:
        async with (
            serving(app, limits=limits(**changes), log=log) as server,
            connected(server.port) as client,
        ):
            for data in requests:
                await client.send(data)
                await asyncio.sleep(0)
            return await client.rest()

    return uvloop.run(run())
