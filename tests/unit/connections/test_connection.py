"""Connections of clients that are slow, greedy, silent or old, over real sockets."""

import asyncio
import json
import random
import time
from contextlib import suppress
from typing import Any

import psutil
import uvloop
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from phiserve.connections.limits import MAX_HEAD_BYTES
from serving import GET, answers, connected, echo, limits, serving

KINDS = (
    GET,
    b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"POST / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 5\r\n\r\nhello",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\n\r\n",
    b"\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


async def patient_echo(scope: Scope, receive: Receive, send: Send) -> None:
    """As `echo`, for clients that hang up."""
    with suppress(ClientDisconnect):
        await echo(scope, receive, send)


def error_of(answer: bytes) -> tuple[bytes, dict[str, Any]]:
    """Status and OpenAI's error object of a whole answer that has just one."""
    assert answer.count(b"HTTP/1.1 ") == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert b"x-request-id: req_" in head
    error: dict[str, Any] = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return head.split(b" ")[1], error


def test_a_head_has_a_limit() -> None:
    """Whether it comes as one line, as many, as an address, or never ends; trailers are bounded too."""
    begin = b"POST / HTTP/1.1\r\nhost: t\r\n"
    for head in (
        begin + b"a: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        begin + b"a: b\r\n" * (MAX_HEAD_BYTES // 2) + b"\r\n",
        b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n",
        begin + b"a: " + b"x" * (4 * MAX_HEAD_BYTES),
        begin + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * MAX_HEAD_BYTES,
    ):
        status, error = error_of(answers(head))
        assert (status, error["code"]) == (b"431", "request_head_too_large")


def test_a_large_head_within_the_limit_is_read() -> None:
    """Cookies and long addresses happen."""
    head = b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\na: " + b"x" * 60_000 + b"\r\n\r\n"
    assert answers(head).endswith(b"GET 1.1 ")


def test_an_endless_head_costs_neither_time_nor_memory() -> None:
    """64 MB of one header line: the loop is never held up for long, and nothing is kept."""

    async def run() -> tuple[float, int]:
        longest = 0.0
        async with serving(echo, limits=limits()) as server, connected(server.port) as client:
            before = psutil.Process().memory_info().rss
            over = asyncio.Event()

            async def watch() -> None:
                nonlocal longest
                while not over.is_set():
                    began = time.monotonic()
                    await asyncio.sleep(0.001)
                    longest = max(longest, time.monotonic() - began)

            watching = asyncio.create_task(watch())
            await client.send(b"GET / HTTP/1.1\r\na: ")
            for _ in range(64):
                await client.send(b"x" * 2**20)
            over.set()
            await watching
            return longest, psutil.Process().memory_info().rss - before

    longest, grown = uvloop.run(run())
    assert longest < 1
    assert grown < 32 * 2**20


def test_silent_and_slow_heads_end() -> None:
    """A silent connection is closed without a word; half a head, and blank lines after an answer, get 408."""
    assert answers(head_timeout_s=0.2) == b""
    for half in (b"GET / HT", b"\r\n"):
        status, error = error_of(answers(half, head_timeout_s=0.2))
        assert (status, error["code"]) == (b"408", "request_timeout")

    async def run() -> bytes:
        async with (
            serving(echo, limits=limits(head_timeout_s=0.2)) as server,
            connected(server.port) as client,
        ):
            await client.send(GET)
            await client.until(b"GET 1.1 ")
            await client.send(b"\r\n")
            return await client.rest()

    assert error_of(uvloop.run(run()))[0] == b"408"


def test_half_a_body_ends() -> None:
    """With 408, whether its length was announced or not."""
    for framing in (b"content-length: 100", b"transfer-encoding: chunked"):
        head = b"POST / HTTP/1.1\r\nhost: t\r\n" + framing + b"\r\n\r\n"
        status, error = error_of(answers(head, body_timeout_s=0.2))
        assert (status, error["code"]) == (b"408", "request_timeout")


def test_a_slow_but_steady_body_comes_through() -> None:
    """Bytes earn time: this body takes several times the base, and none of 16 KiB takes a second."""

    async def run() -> bytes:
        async with (
            serving(echo, limits=limits(body_timeout_s=0.2)) as server,
            connected(server.port) as client,
        ):
            await client.send(
                b"POST / HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 163840\r\n\r\n"
            )
            for _ in range(10):
                await client.send(b"x" * 16384)
                await asyncio.sleep(0.1)
            return await client.rest()

    assert uvloop.run(run()).endswith(b"x" * 163840)


def test_a_body_after_its_answer_ends_too() -> None:
    """An application that answers before the body has come: the rest has the same deadline, and there is one
    answer.
    """

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await PlainTextResponse("no", 401)(scope, receive, send)

    head = b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n"
    answer = answers(head, app=refuse, body_timeout_s=0.2)
    assert answer.startswith(b"HTTP/1.1 401")
    assert answer.count(b"HTTP/1.1") == 1


def test_what_is_not_http_is_told_so() -> None:
    """In OpenAI's envelope."""
    for data, status in (
        (b"\x16\x03\x01\x02\x00\r\n\r\n", b"400"),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", b"405"),
    ):
        assert error_of(answers(data))[0] == status


def test_an_application_meets_a_client_that_has_gone() -> None:
    """Where its request turns out not to be HTTP behind its head, also if the client waited for leave to send
    its body.
    """
    met: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            met.append((await receive())["type"])

    head = b"POST / HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n"
    assert error_of(answers(head + b"no chunk\r\n", app=note))[0] == b"400"
    assert met == ["http.disconnect"]


def test_damaged_requests_leave_nothing_behind() -> None:
    """Requests of every kind with bytes changed, in parts of any length, many on a connection: no error goes
    unhandled, and no connection stays.
    """
    chance = random.Random(5)
    unhandled: list[dict[str, Any]] = []

    async def send_some(port: int) -> None:
        data = bytearray(b"".join(chance.choices(KINDS, k=chance.choice([1, 2, 3, 30]))))
        for _ in range(chance.choice([0, 1, 5])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        async with connected(port) as client:
            while data:
                part = chance.choice([1, 3, 50, 5000])
                await client.send(bytes(data[:part]))
                del data[:part]
                await asyncio.sleep(0)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unhandled.append(context))
        async with serving(patient_echo, limits=limits(head_timeout_s=1, body_timeout_s=1)) as server:
            for _ in range(10):
                await asyncio.gather(*(send_some(server.port) for _ in range(30)))
            async with asyncio.timeout(20):
                while server.server.server_state.connections or server.server.server_state.tasks:
                    await asyncio.sleep(0.01)

    uvloop.run(run())
    assert unhandled == []


def test_silent_connections_lock_nobody_out() -> None:
    """However many there are: the one that has waited longest makes room, those at work stay."""

    async def run() -> None:
        async with serving(echo, limits=limits(max_connections=4)) as server:
            silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(200)]
            async with connected(server.port) as client:
                await client.send(GET)
                await client.until(b"GET 1.1 ")
            for _, writer in silent:
                writer.close()

    uvloop.run(run())


def test_more_running_requests_than_connections_are_refused() -> None:
    """With 503 and when to come back; those that run are not disturbed."""

    async def run() -> None:
        go_on = asyncio.Event()

        async def patient(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await go_on.wait()
                await PlainTextResponse("done")(scope, receive, send)

        async with (
            serving(patient, limits=limits(max_connections=2)) as server,
            connected(server.port) as first,
            connected(server.port) as second,
        ):
            for running in (first, second):
                await running.send(GET)
            while len(server.server.server_state.tasks) < 2:
                await asyncio.sleep(0.01)
            async with connected(server.port) as third:
                await third.send(GET)
                answer = await third.rest()
            assert error_of(answer)[0] == b"503"
            assert b"Retry-After: 1" in answer
            go_on.set()
            for running in (first, second):
                await running.until(b"done")

    uvloop.run(run())
