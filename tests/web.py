"""Servers on this host that stand for the web, with names resolved as a test wants, and a fetcher that asks
them.

127.0.0.1 stands for the public internet here and 127.0.0.2 for the network inside.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult

from phiserve.errors import InvalidRequest
from phiserve.media.url_gate import UrlGate
from phiserve.media.web import WebFetcher

PUBLIC, INSIDE = "127.0.0.1", "127.0.0.2"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Names(AbstractResolver):
    """Answers each look-up of a name with its next list of addresses, and the last one from then on."""

    addresses: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answers = self.addresses.get(host)
        if not answers:
            raise OSError(None, "no such name, says the library in /etc/resolv.conf")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""


@dataclass
class Web:
    """A server at both addresses under one port, and what has been asked of it."""

    port: int = 0
    hits: list[tuple[str, str]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    open_connections: int = 0
    answers: dict[str, bytes | Answer] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request as scripted for its path, then close."""
        self.open_connections += 1
        try:
            head = await reader.read(2**16)
            if not head.startswith(b"GET "):
                return
            path = head.split()[1].decode()
            self.heads.append(head)
            self.hits.append((writer.get_extra_info("sockname")[0], path))
            answer = self.answers[path]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            self.open_connections -= 1


def http(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """A whole response."""
    lines = [
        f"{name.replace('_', '-')}: {value}"
        for name, value in ({"Content_Length": str(len(body))} | headers).items()
    ]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode() + body


def redirect(location: str) -> bytes:
    """A redirect."""
    return http(status="302 Found", Location=location)


@asynccontextmanager
async def world(
    names: dict[str, list[list[str]]], timeout_s: float = 10.0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Web, Names, WebFetcher]]:
    """A web, which speaks TLS if asked to, a resolver, and a fetcher which may ask any host of the list on
    the web's port.
    """
    web, resolver = Web(), Names(names)
    listeners = _listeners()
    servers = [await asyncio.start_server(web.serve, sock=listener, ssl=tls) for listener in listeners]
    web.port = listeners[0].getsockname()[1]
    gate = UrlGate(("*.example", PUBLIC), ports=(web.port,), is_public=lambda address: address == PUBLIC)
    fetcher = WebFetcher(gate, timeout_s, resolver)
    try:
        yield web, resolver, fetcher
    finally:
        await fetcher.close()
        for server in servers:
            server.close()
            await server.wait_closed()


def _listeners(attempts: int = 20) -> list[socket.socket]:
    """A free port of both addresses: one that is free at the first and taken at the second is given back for
    another.
    """
    public = socket.create_server((PUBLIC, 0))
    try:
        return [public, socket.create_server((INSIDE, public.getsockname()[1]))]
    except OSError:
        public.close()
        if attempts == 1:
            raise
        return _listeners(attempts - 1)


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Come back once `condition` holds, which another thread may bring about. Raises TimeoutError if it does
    not in time.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)


def ignore(count: int) -> None:
    """For who does not count what arrives."""


def fetch(
    answers: Mapping[str, bytes | Answer],
    path: str = "/a",
    *,
    names: dict[str, list[list[str]]] | None = None,
    host: str = "a.example",
    timeout_s: float = 10.0,
    max_bytes: int = 10_000,
    arrived: Callable[[int], None] = ignore,
) -> tuple[bytes | InvalidRequest, Web, Names]:
    """Fetch http://host/path in a world of its own: the content or the error, and what the world saw."""

    async def run() -> tuple[bytes | InvalidRequest, Web, Names]:
        async with world(names or {"a.example": [[PUBLIC]], "b.example": [[PUBLIC]]}, timeout_s) as (
            web,
            resolver,
            fetcher,
        ):
            texts = {key: value for key, value in answers.items() if isinstance(value, bytes)}
            web.answers = {
                **answers,
                **{key: value.replace(b"PORT", str(web.port).encode()) for key, value in texts.items()},
            }
            result: bytes | InvalidRequest
            try:
                result = await fetcher.fetch(f"http://{host}:{web.port}{path}", max_bytes, arrived)
            except InvalidRequest as error:
                result = error
            await until(lambda: not web.open_connections)  # whatever happened, the connection ends with it
            return result, web, resolver

    return asyncio.run(run())


def assert_error(result: object, error: type[InvalidRequest], words: str) -> None:
    """A 400 of this class, in our own words only. Which image is at fault is not known here."""
    assert type(result) is error
    assert (result.status, result.param) == (400, None)
    assert words in result.message
    for foreign in ("example", "127.0.0", "/etc", "Errno", "Cannot connect"):
        assert foreign not in result.message
