"""A batch's requests sent to a server that runs, many at once."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import msgspec
import openai
from rich.console import Console

from phiserve.cli.batch.lines import check_model
from phiserve.cli.batch.work import LineRequest, Outcome, Source
from phiserve.cli.client import async_client_for, client_for, served_models
from phiserve.errors import StartupError
from phiserve.protocol.batches.lines import BatchLine

AT_ONCE = 64
"""Requests under way where nobody says how many."""

PATIENCE_S = 600.0
"""Seconds without any answer, after which a server is given up that has no room, or is not there."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two tries; each is twice as long as the one before, and longer where the server says so."""

LONGEST_ASKED_S = 600.0
"""Of what a server may say."""

CONNECT_TIMEOUT_S = 30.0

_PASSING = (429, 502, 503, 504)
"""Statuses that say nothing of the request: of a server, or a proxy before it, that is busy or restarts."""

_UNWELCOME = (401, 403)
"""Statuses that every other request would be answered with too."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """The server at `url`, which serves models of these names."""

    url: str
    names: Sequence[str]

    @classmethod
    def at(cls, url: str) -> "RunningServer":
        """Ask which models it serves. Raises StartupError where none answers as OpenAI's does."""
        with client_for(url) as client:
            return cls(url, served_models(client))

    def check(self, line: BatchLine) -> None:
        """Raises LineRefused for another model than the server's; all else is for the server to judge."""
        check_model(line, self.names)

    def source(self, console: Console, at_once: int | None) -> Source:
        """The server runs already."""
        return partial(_connected, self.url, self.names[0], at_once or AT_ONCE)


@asynccontextmanager
async def _connected(url: str, model: str, at_once: int) -> AsyncIterator["ServerAnswering"]:
    """Answer through the server at `url`."""
    async with async_client_for(url) as client:
        yield ServerAnswering(client, model, at_once)


@dataclass(frozen=True, slots=True)
class _Reply:
    """What a server answered."""

    status: int
    content: bytes
    request_id: str
    retry_after: str


class ServerAnswering:
    """Answers through the server of `client`, `at_once` requests at a time.

    As long as it answers some of them, others are sent again: a key's limits may let few through in a minute.
    """

    def __init__(self, client: openai.AsyncOpenAI, model: str, at_once: int) -> None:
        self._client = client
        self._timeout = openai.Timeout(None, connect=CONNECT_TIMEOUT_S)
        self.model = model
        self.at_once = at_once
        self._answered_at = -math.inf
        self._num_sent = 0

    async def answer(self, request: LineRequest) -> Outcome:
        """Answer a request, sent again while the server is busy or restarts. Raises StartupError."""
        began, pause_s = time.monotonic(), FIRST_PAUSE_S
        while True:
            self._num_sent += 1
            try:
                reply = await self._sent(request)
            finally:
                self._num_sent -= 1
            if reply is not None and reply.status not in _PASSING:
                self._answered_at = time.monotonic()
                return self._outcome(reply)
            self._check_patience(reply, began)
            asked_s = 0.0 if reply is None else seconds_to_wait(reply.retry_after)
            await asyncio.sleep(max(pause_s, asked_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _check_patience(self, reply: _Reply | None, began: float) -> None:
        """Raises StartupError where it is long since anything was answered, or a request sent at all."""
        is_at_work = reply is not None and reply.status == 429 and self._num_sent > 0
        if is_at_work or time.monotonic() - max(began, self._answered_at) <= PATIENCE_S:
            return
        reason = "is not reached any more" if reply is None else f"answers with status {reply.status}"
        raise StartupError(f"{self._client.base_url} {reason}, for {PATIENCE_S / 60:g} minutes by now")

    async def _sent(self, request: LineRequest) -> _Reply | None:
        """What the server answers, whatever it is; None where it is not reached."""
        try:
            answered = await self._client.post(
                request.url.removeprefix("/v1"),
                cast_to=openai.HttpxBinaryResponseContent,
                content=request.body,
                options={"headers": {"Content-Type": "application/json"}, "timeout": self._timeout},
            )
            response = answered.response
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError:
            return None
        headers = response.headers
        return _Reply(
            response.status_code,
            response.content,
            headers.get("x-request-id", ""),
            headers.get("retry-after", ""),
        )

    def _outcome(self, reply: _Reply) -> Outcome:
        """Raises StartupError where the server lets nobody in."""
        if reply.status in _UNWELCOME:
            raise StartupError(f"{self._client.base_url} asks for another key: set PHISERVE_API_KEY")
        try:
            body = msgspec.json.format(reply.content, indent=-1)  # in one line
        except ValueError:  # msgspec's errors are, too
            message = f"What answers is not an OpenAI-compatible server: its status is {reply.status}"
            body = msgspec.json.encode({"error": {"message": message, "type": "server_error"}})
            return Outcome(max(reply.status, 400), "", body)
        return Outcome(reply.status, reply.request_id, body)


def seconds_to_wait(retry_after: str) -> float:
    """How long a server asks to wait; 0 where it does not say, or names a date."""
    try:
        return min(max(float(retry_after or 0), 0.0), LONGEST_ASKED_S)
    except ValueError:
        return 0.0
