"""Sends requests: a fixed number of clients, each with one request at a time, or a fixed rate whatever
becomes of them.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import aiohttp
import uvloop

from benchmarks.stream import StreamReader

TIMEOUT_S = 1800
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Answer:
    """One streamed answer; times on the monotonic clock. `tokens` is the server's own count, 0 if it
    failed.
    """

    began_s: float
    arrivals_s: tuple[float, ...]
    ended_s: float
    tokens: int
    succeeded: bool
    failure: str = ""


class Load(Protocol):
    """How requests are sent. `name` is what the report calls it."""

    @property
    def name(self) -> str:
        """For the report."""

    async def send(self, session: aiohttp.ClientSession, url: str, bodies: Sequence[bytes]) -> list[Answer]:
        """Send all bodies and wait for all answers."""


@dataclass(frozen=True, slots=True)
class Closed:
    """`clients` at once, each sending its next request when the one before is answered."""

    clients: int

    @property
    def name(self) -> str:
        """As `16 clients`."""
        return f"{self.clients} client{'s' if self.clients > 1 else ''}"

    async def send(self, session: aiohttp.ClientSession, url: str, bodies: Sequence[bytes]) -> list[Answer]:
        """Answers in the order of their ends, more or less."""
        left = iter(bodies)
        answers: list[Answer] = []
        await asyncio.gather(*(_client(session, url, left, answers) for _ in range(self.clients)))
        return answers


@dataclass(frozen=True, slots=True)
class Open:
    """One request every 1/`rate_per_s` seconds, however many are unanswered."""

    rate_per_s: float

    @property
    def name(self) -> str:
        """As `2 a second`."""
        return f"{self.rate_per_s:g} a second"

    async def send(self, session: aiohttp.ClientSession, url: str, bodies: Sequence[bytes]) -> list[Answer]:
        """Answers in the order of their requests."""
        began = time.monotonic()
        tasks = []
        for number, body in enumerate(bodies):
            await asyncio.sleep(max(0.0, began + number / self.rate_per_s - time.monotonic()))
            tasks.append(asyncio.create_task(ask(session, url, body)))
        return list(await asyncio.gather(*tasks))


async def ask(session: aiohttp.ClientSession, url: str, body: bytes) -> Answer:
    """Send one request and read its stream to the end. Never raises for what the server does."""
    reader = StreamReader()
    began = time.monotonic()
    failure = ""
    try:
        async with session.post(f"{url}/v1/chat/completions", data=body, headers=_HEADERS) as response:
            if response.status != 200:
                failure = f"{response.status}: {(await response.text())[:300]}"
            async for data in response.content.iter_any():
                reader.feed(data, time.monotonic())
    except (aiohttp.ClientError, TimeoutError) as error:
        failure = f"{type(error).__name__}: {error}"
    if not failure and (reader.failed or not reader.done):
        failure = "the stream ended in an error" if reader.failed else "the stream ended early"
    tokens = 0 if failure else reader.tokens
    return Answer(began, tuple(reader.arrivals_s), time.monotonic(), tokens, not failure, failure)


def send(load: Load, url: str, bodies: Sequence[bytes]) -> list[Answer]:
    """Send all bodies under a load, on an event loop of its own, and wait for all answers."""

    async def work(session: aiohttp.ClientSession) -> list[Answer]:
        """As the load has it."""
        return await load.send(session, url, bodies)

    return with_session(work)


def with_session(
    work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, _Result]], key: str = ""
) -> _Result:
    """Run `work` with a client session that has no limits, and sends the key where there is one."""

    async def run() -> _Result:
        """On the new loop."""
        connector = aiohttp.TCPConnector(limit=0)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), headers=headers
        ) as session:
            return await work(session)

    return uvloop.run(run())


_HEADERS = {"Content-Type": "application/json"}


async def _client(
    session: aiohttp.ClientSession, url: str, left: Iterator[bytes], answers: list[Answer]
) -> None:
    for body in left:
        answers.append(await ask(session, url, body))
