"""What ends at the connection is in the log and in the count, once, in the form of all requests."""

import asyncio
import json
from collections.abc import Callable

import pytest
import uvloop
from prometheus_client import REGISTRY
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from phiserve.api.request_id import RequestIdMiddleware
from phiserve.api.request_log import CONNECTION_ROUTE, RequestLog, RequestLogMiddleware, record_of
from phiserve.connections.limits import MAX_HEAD_BYTES
from serving import GET, answers, connected, limits, serving

BODY_ROUTE = "/read"
POST_HEAD = b"POST /read HTTP/1.1\r\nhost: t\r\nx-request-id: abc\r\ncontent-length: 100\r\n\r\n"


class Lines:
    """A logger that keeps its lines."""

    def __init__(self) -> None:
        self.all: list[dict[str, object]] = []

    def info(self, event: str, **fields: object) -> object:
        """Keep a line."""
        self.all.append({"event": event, **fields})
        return None


def logged(app: ASGIApp, log: RequestLog) -> ASGIApp:
    """An application with the middleware that tells the log of its requests."""
    return RequestIdMiddleware(RequestLogMiddleware(app, [BODY_ROUTE], log))


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    if scope["type"] != "http":
        return
    try:
        body = await Request(scope, receive).body()
    except ClientDisconnect:
        record_of(scope).end("client_gone")
        await PlainTextResponse("nobody", 499)(scope, receive, send)
    else:
        await PlainTextResponse(str(len(body)))(scope, receive, send)


def count(route: str, outcome: str) -> float:
    """How many requests ended in this way."""
    labels = {"route": route, "outcome": outcome}
    return REGISTRY.get_sample_value("phiserve_requests_total", labels) or 0.0


def line_of(*requests: bytes, **changes: float) -> tuple[dict[str, object], bytes]:
    """The one line that is written of these bytes, and what is answered."""
    lines = Lines()
    log = RequestLog(lines)
    answer = answers(*requests, app=logged(reads, log), log=log, **changes)
    (line,) = lines.all
    return line, answer


@pytest.mark.parametrize(
    ("data", "changes", "status", "outcome"),
    [
        (b"GET / HT", {"head_timeout_s": 0.2}, 408, "request_timeout"),
        (b"GET / HTTP/1.1\r\na: " + b"x" * MAX_HEAD_BYTES, {}, 431, "request_head_too_large"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", {}, 400, "invalid_http"),
        (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", {}, 405, "method_not_allowed"),
        (GET, {"max_connections": 0}, 503, "server_busy"),
    ],
)
def test_refused_before_it_is_a_request(
    data: bytes, changes: dict[str, float], status: int, outcome: str
) -> None:
    """With the id that the client was told, under a route of its own: no application knows it."""
    before = count(CONNECTION_ROUTE, outcome)
    line, answer = line_of(data, **changes)
    assert f"x-request-id: {line['id']}\r\n".encode() in answer
    total_s = line.pop("total_s")
    assert isinstance(total_s, float)
    assert changes.get("head_timeout_s", 0) / 2 < total_s < 20
    assert line == {
        "event": "request",
        "id": line["id"],
        "route": CONNECTION_ROUTE,
        "outcome": outcome,
        "status": status,
    }
    assert count(CONNECTION_ROUTE, outcome) == before + 1


@pytest.mark.parametrize(
    ("data", "status", "outcome"),
    [
        (POST_HEAD + b"half", 408, "request_timeout"),
        (
            POST_HEAD.replace(b"content-length: 100", b"transfer-encoding: chunked") + b"no chunk\r\n",
            400,
            "invalid_http",
        ),
    ],
)
def test_refused_while_an_application_reads_it(data: bytes, status: int, outcome: str) -> None:
    """One line, the application's own, with what the client was told: not that it had gone."""
    before = count(BODY_ROUTE, outcome)
    line, answer = line_of(data, body_timeout_s=0.2)
    assert b"x-request-id: abc\r\n" in answer
    assert (line["id"], line["route"], line["method"]) == ("abc", BODY_ROUTE, "POST")
    assert (line["status"], line["outcome"]) == (status, outcome)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == outcome
    assert count(BODY_ROUTE, outcome) == before + 1


def test_damage_behind_a_whole_request() -> None:
    """The whole one is answered and logged for itself, and so is what follows."""
    lines = Lines()
    log = RequestLog(lines)
    answers(GET, b"\x16\x03\r\n\r\n", app=logged(reads, log), log=log, head_timeout_s=5)
    assert sorted(str(line["outcome"]) for line in lines.all) in (
        ["invalid_http"],  # it came before the answer, and took its place
        ["invalid_http", "ok"],
    )


async def written_without_reader(app: Callable[[RequestLog], ASGIApp], request: bytes) -> Lines:
    """The lines of a request whose client does not read its answer."""
    lines = Lines()
    log = RequestLog(lines)
    async with (
        serving(app(log), limits=limits(read_timeout_s=0.3), log=log) as server,
        connected(server.port) as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(request)
        async with asyncio.timeout(20):
            while not lines.all:
                await asyncio.sleep(0.01)
            while server.server.server_state.connections or server.server.server_state.tasks:
                await asyncio.sleep(0.01)
    return lines


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Streams until its client has gone."""
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await receive()
    watching = asyncio.ensure_future(receive())
    while not watching.done():
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    record_of(scope).end("client_gone")


async def large(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with more than a socket takes, and closes."""
    if scope["type"] == "http":
        await PlainTextResponse("x" * 2**25, headers={"connection": "close"})(scope, receive, send)


def test_a_stream_that_is_not_read() -> None:
    """Its line says that the client did not read, not that it hung up."""
    before = count(BODY_ROUTE, "not_read")
    request = GET.replace(b"/", BODY_ROUTE.encode(), 1)
    lines = uvloop.run(written_without_reader(lambda log: logged(endless, log), request))
    (line,) = lines.all
    assert (line["route"], line["status"], line["outcome"]) == (BODY_ROUTE, 200, "not_read")
    assert count(BODY_ROUTE, "not_read") == before + 1


def test_the_rest_of_an_answer_that_is_not_read() -> None:
    """The application was done with it: a line more, with the id of the first."""
    before = count(CONNECTION_ROUTE, "not_read")
    lines = uvloop.run(written_without_reader(lambda log: logged(large, log), GET))
    answered, cut = lines.all
    assert (answered["outcome"], cut["outcome"]) == ("ok", "not_read")
    assert (cut["id"], cut["route"], cut["method"]) == (answered["id"], CONNECTION_ROUTE, "GET")
    assert count(CONNECTION_ROUTE, "not_read") == before + 1


def test_who_hangs_up_with_requests_in_line() -> None:
    """The one that runs is told so too, not only the last that came."""

    async def run() -> str:
        met: list[str] = []
        over = asyncio.Event()

        async def waits(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await receive()
                met.append((await receive())["type"])
                over.set()

        async with serving(waits, limits=limits()) as server:
            async with connected(server.port) as client:
                await client.send(GET + GET)
                while not server.server.server_state.tasks:
                    await asyncio.sleep(0.01)
            await asyncio.wait_for(over.wait(), 20)
        return met[0]

    assert uvloop.run(run()) == "http.disconnect"
