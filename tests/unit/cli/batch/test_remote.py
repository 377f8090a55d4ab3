"""Requests sent to a server: as they are, again while it is busy, and no further where it lets nobody in."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count

import httpx2
import openai
import pytest

from phiserve.cli.batch import remote
from phiserve.cli.batch.remote import RunningServer, ServerAnswering, seconds_to_wait
from phiserve.cli.batch.work import LineRequest, Outcome
from phiserve.cli.client import async_client_for
from phiserve.errors import StartupError
from phiserve.protocol.batches.lines import BatchLine, LineRefused
from servers import WebServer, refusal, web_server

REQUEST = LineRequest("/v1/chat/completions", b'{"messages": []}')
ANSWER = (200, "application/json", b'{"choices": []}')


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "FIRST_PAUSE_S", 0.0)


def ask(url: str, request: LineRequest = REQUEST) -> Outcome:
    """The outcome of one request."""

    async def run() -> Outcome:
        async with async_client_for(url) as client:
            return await ServerAnswering(client, "m", 1).answer(request)

    return asyncio.run(run())


def test_answers_and_errors() -> None:
    """The body is sent as it is, to its route; what comes back is in one line, errors too."""
    posts = [
        (200, "application/json", b'{\n "choices": []\n}'),
        refusal(400, "Too\nlong"),
        (500, "text/html", b"<p>"),
    ]
    with web_server(WebServer(posts=posts)) as server:
        assert ask(server.url) == Outcome(200, "", b'{"choices":[]}')
        failed = ask(server.url, LineRequest("/v1/decisions", b'{"input": "Hi"}'))
        strange = ask(server.url)
    assert server.requests[:2] == [{"messages": []}, {"input": "Hi"}]
    assert server.paths[:2] == ["/v1/chat/completions", "/v1/decisions"]
    assert (failed.status, json.loads(failed.body)["error"]["message"]) == (400, "Too\nlong")
    assert b"\n" not in failed.body
    assert (strange.status, "its status is 500" in strange.body.decode()) == (500, True)


def test_again_while_it_is_busy() -> None:
    """Statuses that say nothing of the request."""
    busy = [refusal(status, "later") for status in (429, 502, 503, 504)]
    with web_server(WebServer(posts=[*busy, ANSWER])) as server:
        assert ask(server.url).status == 200
    assert len(server.requests) == 5


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what the server says, or that nothing listens any more."""
    monkeypatch.setattr(remote, "PATIENCE_S", -1.0)
    with (
        web_server(WebServer(posts=[refusal(503, "later")])) as server,
        pytest.raises(StartupError, match="answers with status 503"),
    ):
        ask(server.url)
    with pytest.raises(StartupError, match="is not reached any more"):
        ask(server.url)


Serve = Callable[[int], Awaitable[int]]
"""What answers the request of this number, from 1, with a status."""


class Clock:
    """Time that passes where it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """By which patience is measured."""
    clock = Clock()
    monkeypatch.setattr(remote, "time", clock)
    return clock


def statuses(serve: Serve, num_requests: int) -> list[int]:
    """What requests that are sent at once are answered with."""
    numbers = count(1)

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(await serve(next(numbers)), json={})

    async def run() -> list[int]:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        async with openai.AsyncOpenAI(
            base_url="http://x/v1", api_key="n", max_retries=0, http_client=http
        ) as client:
            answering = ServerAnswering(client, "m", num_requests)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(answering.answer(REQUEST)) for _ in range(num_requests)]
            return [task.result().status for task in tasks]

    return asyncio.run(run())


@pytest.mark.parametrize("status", [429, 503])
def test_patience_while_others_are_answered(clock: Clock, status: int) -> None:
    """It is since the last answer, whoever had that: a key's limits may let few through in a minute."""

    async def serve(number: int) -> int:
        clock.now_s += 100
        return status if number % 6 else 200

    assert statuses(serve, 20) == [200] * 20
    assert clock.now_s == 100 * 6 * 20


@pytest.mark.parametrize("status", [429, 503])
def test_patience_while_others_are_under_way(clock: Clock, status: int) -> None:
    """A server that is full of long ones has no room, and is not given up; one that is not there is."""
    may_end = asyncio.Event()

    async def serve(number: int) -> int:
        if number == 1:
            await may_end.wait()
            return 200
        clock.now_s += 100
        if number > 20:
            may_end.set()
            return 200
        return status

    if status == 429:
        assert statuses(serve, 2) == [200, 200]
    else:
        with pytest.raises(ExceptionGroup) as caught:
            statuses(serve, 2)
        assert caught.group_contains(StartupError, match="answers with status 503, for 10 minutes")


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_lets_nobody_in(status: int) -> None:
    """Ends the batch, rather than to be the answer to every line."""
    with (
        web_server(WebServer(posts=[refusal(status, "no")])) as server,
        pytest.raises(StartupError, match="set PHISERVE_API_KEY"),
    ):
        ask(server.url)


def test_its_models() -> None:
    """Lines that ask for others are wrong; what else they say is the server's to judge."""
    with web_server(WebServer()) as server:
        place = RunningServer.at(server.url)
    place.check(BatchLine(1, "a", "/v1/completions", b'{"odd": 1}', "m", ""))
    with pytest.raises(LineRefused, match="'n' is not served here, but 'm'"):
        place.check(BatchLine(1, "a", "/v1/completions", b"{}", "n", ""))


@pytest.mark.parametrize(
    ("said", "seconds"), [("7", 7), ("0.5", 0.5), ("9999", 600), ("-1", 0), ("Mon", 0), ("", 0)]
)
def test_how_long_to_wait(said: str, seconds: float) -> None:
    """As the server says, within reason."""
    assert seconds_to_wait(said) == seconds
