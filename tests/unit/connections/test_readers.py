"""Clients that do not read what they are answered."""

import asyncio
import socket

import uvloop
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from serving import GET, connected, limits, serving


def test_a_client_that_does_not_read_is_cut() -> None:
    """An endless stream waits for it and does not grow; then it is told that the client has gone."""

    async def run() -> int:
        sent = 0
        over = asyncio.Event()

        async def generous(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal sent
            if scope["type"] != "http":
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await receive()
            watching = asyncio.ensure_future(receive())
            while not watching.done():
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                sent += 1
            over.set()

        async with (
            serving(generous, limits=limits(read_timeout_s=0.3)) as server,
            connected(server.port) as client,
        ):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(GET)
            await asyncio.wait_for(over.wait(), 20)
        return sent

    assert uvloop.run(run()) < 1000


def test_a_closing_connection_whose_client_does_not_read_is_cut() -> None:
    """The last of an answer is not kept for ever for a client that takes nothing."""

    async def run() -> None:
        async def large(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await PlainTextResponse("x" * 2**25, headers={"connection": "close"})(scope, receive, send)

        async with (
            serving(large, limits=limits(read_timeout_s=0.3)) as server,
            connected(server.port) as client,
        ):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(GET)
            while not server.server.server_state.total_requests:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                while server.server.server_state.connections:
                    await asyncio.sleep(0.01)

    uvloop.run(run())


def test_a_slow_reader_gets_everything() -> None:
    """Who reads steadily, however long it takes, is not cut."""

    async def run() -> int:
        async def large(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await PlainTextResponse("x" * 2**24, headers={"connection": "close"})(scope, receive, send)

        received = 0
        async with (
            serving(large, limits=limits(read_timeout_s=0.3)) as server,
            connected(server.port) as client,
        ):
            await client.send(GET)
            while data := await client.reader.read(2**17):
                received += len(data)
                await asyncio.sleep(0.01)
        return received

    assert uvloop.run(run()) > 2**24


def test_a_slow_reader_of_what_the_kernel_holds() -> None:
    """It reads steadily what the kernel's buffer has, so slowly that nothing of ours gets in there."""

    async def run() -> bool:
        async def large(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await PlainTextResponse("x" * 2**24)(scope, receive, send)

        loop = asyncio.get_running_loop()
        async with serving(large, limits=limits(read_timeout_s=0.3)) as server:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", server.port))
                await loop.sock_sendall(client, GET)
                for _ in range(40):
                    assert await loop.sock_recv(client, 8192)
                    await asyncio.sleep(0.05)
                return bool(server.server.server_state.connections)

    assert uvloop.run(run())
