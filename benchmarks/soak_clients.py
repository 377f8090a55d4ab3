"""Clients of the soak: good ones, and those that hang up, read slowly, stop half-way or have no key."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp
import openai

from benchmarks.soak_bodies import Asked
from benchmarks.soak_fates import (
    ANSWERED,
    LEFT,
    REFUSED,
    TOLD,
    VIOLATION,
    EventReader,
    Fate,
    Violation,
    error_code,
    whole_answer,
)

LONGEST_S = 300.0
"""A request that has no end after so many seconds hangs: a new engine takes less, with its back-off."""

_NOT_OPENAI = ("ignore_eos", "x")
_JSON = {"Content-Type": "application/json"}
_TRANSPORT = (OSError, aiohttp.ClientError, openai.APIConnectionError, EOFError)
Ask = Callable[[], Awaitable[tuple[str, int, str]]]
"""Asks, and returns fate, status and reason. Raises Violation, or what a connection that fails raises."""


@dataclass
class Clients:
    """Asks a server in many ways; `fates` gets one entry for each request."""

    url: str
    session: aiohttp.ClientSession
    chat: openai.AsyncOpenAI
    key: str
    fates: list[Fate] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)
    begun: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """When no more requests are to be begun."""

    async def pause(self, seconds: float) -> None:
        """Wait so long, but not beyond the end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)

    async def well(self, asked: Asked) -> None:
        """Read the answer to its end."""
        await self._judged(asked.kind, lambda: self._read(asked))

    async def without_key(self, asked: Asked) -> None:
        """Read what a wrong key gets."""
        refused = Asked("wrong key", asked.body, frozenset({401}), asked.path)
        await self._judged(refused.kind, lambda: self._read(refused, {"Authorization": "Bearer wrong"}))

    async def by_openai(self, asked: Asked) -> None:
        """Let the openai client read a chat's answer."""
        await self._judged("openai client", lambda: self._read_by_openai(asked))

    async def hanging_up(self, asked: Asked, chance: random.Random) -> None:
        """Leave after some events or some time, whichever comes first; or before anything came."""
        events, seconds = chance.choice((0, 1, 5, 20)), chance.uniform(0, 2)
        await self._judged("hang-up", lambda: self._leave(asked, events, seconds))

    async def slowly(self, asked: Asked, *, stops: bool, read_timeout_s: float) -> None:
        """Read a little, wait, read a little more; then the rest, or nothing at all any more."""
        kind = "reader that stops" if stops else "slow reader"
        await self._judged(kind, lambda: self._read_slowly(asked, stops=stops, read_timeout_s=read_timeout_s))

    async def half(self, asked: Asked, *, waits: bool) -> None:
        """Send half a body; then wait for what is said, or leave."""
        await self._judged("half a body", lambda: self._send_half(asked, waits=waits))

    async def _judged(self, kind: str, ask: Ask) -> None:
        """Ask, and write down what became of it; nothing but being cancelled gets past."""
        began = time.monotonic()
        self.begun += 1
        status, reason = 0, ""
        try:
            async with asyncio.timeout(LONGEST_S):
                fate, status, reason = await ask()
        except Violation as violation:
            fate, reason = VIOLATION, str(violation)
        except TimeoutError:
            fate, reason = VIOLATION, f"no end after {LONGEST_S:g} s"
        except _TRANSPORT as error:
            fate, reason = VIOLATION, f"{type(error).__name__}: {error} ({error.__cause__!r})"
        ended = time.monotonic()
        self.fates.append(Fate(kind, began - self.began_s, ended - began, fate, status, reason))

    async def _read(self, asked: Asked, headers: Mapping[str, str] = {}) -> tuple[str, int, str]:
        target = self.url + asked.path
        async with self.session.post(target, data=asked.content, headers=_JSON | dict(headers)) as response:
            status, media_type = response.status, response.headers.get("content-type", "")
            if status not in asked.expected:
                raise Violation(f"{status} was not expected: {(await response.read())[:300]!r}")
            if status != 200:
                return REFUSED, status, error_code(await response.read(), status, media_type)
            if not asked.streams:
                whole_answer(asked, await response.read(), media_type)
                return ANSWERED, status, ""
            if media_type != "text/event-stream; charset=utf-8":
                raise Violation(f"a stream as {media_type!r}")
            reader = EventReader(asked)
            async for data in response.content.iter_any():
                reader.feed(data)
            return reader.close(), status, reader.error

    async def _read_by_openai(self, asked: Asked) -> tuple[str, int, str]:
        body = {name: value for name, value in asked.body.items() if name not in _NOT_OPENAI}
        more = {name: value for name, value in asked.body.items() if name in _NOT_OPENAI}
        body["stream"] = True
        ends = 0
        try:
            async for chunk in await self.chat.chat.completions.create(**body, extra_body=more):
                ends += sum(choice.finish_reason is not None for choice in chunk.choices)
        except openai.APIStatusError as error:
            if error.status_code not in asked.expected or not error.code:
                raise Violation(f"openai client: {error.status_code}: {error.message}") from None
            return REFUSED, error.status_code, error.code
        except openai.APIConnectionError:
            raise
        except openai.APIError as error:
            return TOLD, 200, str(error.code)
        if ends != asked.body.get("n", 1):
            raise Violation(f"openai client: {ends} choices have an end")
        return ANSWERED, 200, ""

    async def _leave(self, asked: Asked, events: int, seconds: float) -> tuple[str, int, str]:
        reader = EventReader(asked)
        leaving = asyncio.timeout(seconds)
        try:
            async with (
                leaving,
                self.session.post(self.url + asked.path, data=asked.content, headers=_JSON) as response,
            ):
                if response.status != 200:
                    media_type = response.headers.get("content-type", "")
                    code = error_code(await response.read(), response.status, media_type)
                    return REFUSED, response.status, code
                while reader.events < events and (data := await response.content.readany()):
                    reader.feed(data)
                response.close()
        except (TimeoutError, aiohttp.ClientOSError):
            if not leaving.expired():  # else it left while it was sending, which aiohttp may tell so
                raise
        return LEFT, 0, reader.error

    async def _read_slowly(self, asked: Asked, *, stops: bool, read_timeout_s: float) -> tuple[str, int, str]:
        """Half a kilobyte each 0.2 s, for twenty seconds: more than what the server asks of readers."""
        async with _raw(self.url, 4096) as (reader, writer):
            writer.write(self._head(asked, len(asked.content)) + asked.content)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                return self._refused(asked, head, await reader.read())
            events = EventReader(asked)
            chunks = _Chunked()
            for _ in range(100):
                events.feed(chunks.feed(await reader.read(512)))
                await asyncio.sleep(0.2)
            if stops:
                await asyncio.sleep(2.5 * read_timeout_s)
                with suppress(ConnectionError):
                    while data := await reader.read(65536):
                        events.feed(chunks.feed(data))
                return LEFT, 200, "whole after all" if events.done else "cut off"
            while not chunks.ended and (data := await reader.read(65536)):
                events.feed(chunks.feed(data))
            return events.close(), 200, events.error

    async def _send_half(self, asked: Asked, *, waits: bool) -> tuple[str, int, str]:
        content = asked.content
        async with _raw(self.url) as (reader, writer):
            writer.write(self._head(asked, len(content)) + content[: len(content) // 2])
            await writer.drain()
            if not waits:
                await asyncio.sleep(0.2)
                return LEFT, 0, ""
            head = await reader.readuntil(b"\r\n\r\n")
            return self._refused(Asked(asked.kind, {}, frozenset({408, 429, 503})), head, await reader.read())

    def _head(self, asked: Asked, length: int) -> bytes:
        fields = f"host: t\r\nauthorization: Bearer {self.key}\r\ncontent-type: application/json\r\n"
        return f"POST {asked.path} HTTP/1.1\r\n{fields}content-length: {length}\r\n\r\n".encode()

    def _refused(self, asked: Asked, head: bytes, content: bytes) -> tuple[str, int, str]:
        status = int(head.split(b" ", 2)[1])
        if status not in asked.expected:
            raise Violation(f"{status} was not expected: {content[:300]!r}")
        fields = dict(line.lower().split(": ", 1) for line in head.decode().splitlines()[1:] if ": " in line)
        return REFUSED, status, error_code(content, status, fields.get("content-type", ""))


@dataclass
class _Chunked:
    """Takes chunked framing away (RFC 9112, 7.1). Raises Violation."""

    ended: bool = False
    _rest: bytes = b""

    def feed(self, data: bytes) -> bytes:
        """The content of all chunks that are whole by now."""
        self._rest += data
        content = b""
        while not self.ended and b"\r\n" in self._rest:
            size, _, behind = self._rest.partition(b"\r\n")
            try:
                length = int(size, 16)
            except ValueError:
                raise Violation(f"no chunk size: {size[:50]!r}") from None
            if len(behind) < length + 2:
                break
            content += behind[:length]
            self._rest = behind[length + 2 :]
            self.ended = length == 0
        return content


@asynccontextmanager
async def _raw(
    url: str, buffer_bytes: int = 65536
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which bytes are sent and read as they are, with this much room for what comes."""
    address = urlsplit(url)
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (address.hostname or "127.0.0.1", address.port or 80))
    reader, writer = await asyncio.open_connection(sock=connection, limit=buffer_bytes)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
