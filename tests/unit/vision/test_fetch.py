"""The fetcher against real servers on this host, with names resolved as the test wants.

127.0.0.1 stands for the public internet here and 127.0.0.2 for the network inside; what really is public is `test_addresses`'.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from phiserve.errors import InvalidImage, InvalidRequest
from phiserve.vision.fetch import DownloadFailed, PictureFetcher
from phiserve.vision.limits import PictureLimits, RequestMeter
from phiserve.vision.pictures import PictureService
from phiserve.vision.sources import PictureSources
from phiserve.vision.url_gate import ForbiddenUrl, UrlGate
from pictures import encode, noise

PUBLIC, INSIDE = "127.0.0.1", "127.0.0.2"
PICTURE = encode(noise(20, 10))
PARAM = "messages[0].content[1].image_url"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Names(AbstractResolver):
    """Answers each look-up of a name with its next list of addresses, and the last one from then on."""

    addresses: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
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
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in ({"Content_Length": str(len(body))} | headers).items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode() + body


def redirect(location: str) -> bytes:
    """A redirect."""
    return http(status="302 Found", Location=location)


@asynccontextmanager
async def world(names: dict[str, list[list[str]]], timeout_s: float = 10.0) -> Any:
    """A web, a resolver and a fetcher which may ask any host of the list on the web's port."""
    web, resolver = Web(), Names(names)
    server = await asyncio.start_server(web.serve, [PUBLIC, INSIDE], 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    server = await asyncio.start_server(web.serve, [PUBLIC, INSIDE], port)
    web.port = port
    gate = UrlGate(("*.example", PUBLIC, INSIDE), ports=(port,), is_public=lambda address: address == PUBLIC)
    fetcher = PictureFetcher(gate, timeout_s, resolver)
    try:
        yield web, resolver, fetcher
    finally:
        await fetcher.close()
        server.close()
        await server.wait_closed()


def fetch(
    answers: Mapping[str, bytes | Answer],
    path: str = "/a",
    *,
    names: dict[str, list[list[str]]] | None = None,
    host: str = "a.example",
    timeout_s: float = 10.0,
    max_bytes: int = 10_000,
    limits: PictureLimits | None = None,
) -> tuple[bytes | InvalidRequest, Web, Names]:
    """Fetch http://host/path in a world of its own: the content or the error, and what the world saw."""

    async def run() -> tuple[bytes | InvalidRequest, Web, Names]:
        async with world(names or {"a.example": [[PUBLIC]], "b.example": [[PUBLIC]]}, timeout_s) as (web, resolver, fetcher):
            texts = {key: value for key, value in answers.items() if isinstance(value, bytes)}
            web.answers = {**answers, **{key: value.replace(b"PORT", str(web.port).encode()) for key, value in texts.items()}}
            meter = RequestMeter(limits or PictureLimits())
            result: bytes | InvalidRequest
            try:
                result = await fetcher.fetch(
                    f"http://{host}:{web.port}{path}", PARAM, max_bytes, lambda count: meter.add_bytes(count, PARAM)
                )
            except InvalidRequest as error:
                result = error
            while web.open_connections:  # whatever happened, the connection ends with it
                await asyncio.sleep(0.001)
            return result, web, resolver

    return asyncio.run(run())


def assert_error(result: object, error: type[InvalidRequest], words: str) -> None:
    """A 400 of this class that names the place, in our own words only."""
    assert type(result) is error
    assert (result.status, result.param) == (400, PARAM)
    assert words in result.message
    for foreign in ("example", "127.0.0", "/etc", "Errno", "Cannot connect"):
        assert foreign not in result.message


def test_a_picture() -> None:
    """Its bytes, whatever type the server claims; cookies are neither kept nor sent."""
    answers = {"/a?b=c": http(status="302 Found", Location="/d", Set_Cookie="k=v"), "/d": http(PICTURE, Content_Type="text/html")}
    result, web, names = fetch(answers, "/a?b=c#d")
    assert result == PICTURE
    assert web.hits == [(PUBLIC, "/a?b=c"), (PUBLIC, "/d")]
    assert names.asked == ["a.example", "a.example"]
    assert b"k=v" not in web.heads[1]


def test_redirects_are_followed() -> None:
    """Three at most; each name is looked up once."""
    chain = {"/a": redirect("http://b.example:PORT/b"), "/b": redirect("/c"), "/c": redirect("//a.example:PORT/d")}
    result, web, names = fetch({**chain, "/d": http(PICTURE)})
    assert result == PICTURE
    assert [path for _, path in web.hits] == ["/a", "/b", "/c", "/d"]
    assert names.asked == ["a.example", "b.example", "b.example", "a.example"]
    result, web, _ = fetch({**chain, "/d": redirect("/e"), "/e": http(PICTURE)})
    assert_error(result, DownloadFailed, "redirects more than 3 times")
    assert "/e" not in [path for _, path in web.hits]


@pytest.mark.parametrize(
    "location",
    [
        "http://inside.example:PORT/secret",
        "http://127.0.0.2:PORT/secret",
        "http://0x7f.0.0.2:PORT/secret",
        "http://2130706434:PORT/secret",
        "http://[::ffff:127.0.0.2]:PORT/secret",
        "http://a.example@127.0.0.2:PORT/secret",
        "http://127.0.0.2:PORT\\@a.example/secret",
        "http://elsewhere.test:PORT/secret",
        "http://a.example:22/secret",
        "file:///etc/passwd",
        "data:text/plain,x",
    ],
)
def test_redirects_inward(location: str) -> None:
    """Wherever a redirect leads, the network inside is not asked."""
    names = {"a.example": [[PUBLIC]], "inside.example": [[INSIDE]]}
    result, web, _ = fetch({"/a": redirect(location), "/secret": http(PICTURE)}, names=names)
    assert_error(result, ForbiddenUrl, "")
    assert web.hits == [(PUBLIC, "/a")]


def test_a_redirect_to_nowhere() -> None:
    """Without a Location, a redirect leads back to itself, and that ends."""
    result, _, _ = fetch({"/a": http(status="302 Found")})
    assert_error(result, DownloadFailed, "redirects more than 3 times")


@pytest.mark.parametrize("addresses", [[INSIDE], [PUBLIC, INSIDE], [INSIDE, PUBLIC]])
def test_names_that_lead_inside(addresses: list[str]) -> None:
    """One address that is not public is enough to refuse a name; nothing is connected to."""
    result, web, _ = fetch({"/a": http(PICTURE)}, names={"a.example": [addresses]})
    assert_error(result, ForbiddenUrl, "no public address")
    assert web.hits == []


def test_names_that_change() -> None:
    """A name that is public when looked up and inside when looked up again: there is no second look-up before connecting."""
    result, web, names = fetch({"/a": http(PICTURE)}, names={"a.example": [[PUBLIC], [INSIDE]]})
    assert result == PICTURE
    assert web.hits == [(PUBLIC, "/a")]
    assert names.asked == ["a.example"]


def test_names_that_change_between_hops() -> None:
    """The next hop looks up anew, and judges anew."""
    answers = {"/a": redirect("http://a.example:PORT/b"), "/b": http(PICTURE)}
    result, web, _ = fetch(answers, names={"a.example": [[PUBLIC], [INSIDE]]})
    assert_error(result, ForbiddenUrl, "no public address")
    assert web.hits == [(PUBLIC, "/a")]


def test_names_that_do_not_exist() -> None:
    """A failed look-up is told without what the library says."""
    result, _, _ = fetch({}, host="none.example")
    assert_error(result, DownloadFailed, "could not be downloaded")


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), timeout=0.01)


async def _never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _endless_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not reader.at_eof():
        writer.write(b"X-Header: " + b"x" * 1000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("answer", [_drip, _never])
def test_slow_servers(answer: Answer) -> None:
    """One deadline for everything, however the time is spent; then the connection is closed."""
    result, _, _ = fetch({"/a": answer}, timeout_s=0.2)
    assert_error(result, DownloadFailed, "not downloaded within 0.2 s")


def test_slow_redirects_share_the_deadline() -> None:
    """Hops do not start the clock again."""
    answers: dict[str, bytes | Answer] = {"/a": redirect("/b"), "/b": redirect("/c"), "/c": _never}
    result, web, _ = fetch(answers, timeout_s=0.2)
    assert_error(result, DownloadFailed, "not downloaded within 0.2 s")
    assert len(web.hits) == 3


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for _ in range(10**9):
        writer.write(b"x" * 1000)
        await writer.drain()


async def _endless_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10**9):
        writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize(
    "answer", [_endless, _endless_chunks, http(b"x" * 10_001), b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"]
)
def test_large_bodies(answer: bytes | Answer) -> None:
    """More than the limit is refused as soon as it is announced or has come."""
    result, _, _ = fetch({"/a": answer})
    assert_error(result, InvalidImage, "10000 bytes (max_image_bytes)")


def test_limit_is_exact() -> None:
    """As many bytes as the limit are fine."""
    result, _, _ = fetch({"/a": http(b"x" * 10_000)})
    assert result == b"x" * 10_000


def test_the_request_as_a_whole_has_a_limit() -> None:
    """What all pictures of a request add up to is counted while it comes."""
    result, _, _ = fetch({"/a": http(b"x" * 10_000)}, limits=PictureLimits(max_request_bytes=5000))
    assert_error(result, InvalidImage, "5000 bytes (max_request_image_bytes)")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(status="404 Not Found"), "status 404"),
        (http(b"secret of the server", status="500 Oops"), "status 500"),
        (http(status="304 Not Modified"), "status 304"),
        (http(PICTURE, Content_Encoding="gzip"), "compressed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "could not be downloaded"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "could not be downloaded"),
        (b"SSH-2.0-OpenSSH\r\n", "could not be downloaded"),
        (b"", "could not be downloaded"),
        (_endless_header, "could not be downloaded"),
    ],
)
def test_bad_answers(answer: bytes | Answer, words: str) -> None:
    """Errors, compression, answers cut short or not HTTP at all: told in our own words, nothing of the body repeated."""
    result, _, _ = fetch({"/a": answer})
    assert_error(result, DownloadFailed, words)
    assert "secret" not in str(result)


def test_https_needs_a_certificate() -> None:
    """A server that does not speak TLS is not asked again without it."""

    async def run() -> object:
        async with world({"a.example": [[PUBLIC]]}) as (web, _, fetcher):
            try:
                return await fetcher.fetch(f"https://a.example:{web.port}/a", PARAM, 100, lambda _: None)
            except InvalidRequest as error:
                return error

    assert_error(asyncio.run(run()), DownloadFailed, "could not be downloaded")


def test_pictures_of_a_request_are_fetched_at_once() -> None:
    """Two pictures whose servers wait for each other both arrive; content is sniffed, not believed."""

    async def run() -> None:
        async with world({"a.example": [[PUBLIC]]}) as (web, _, fetcher):
            both = asyncio.Barrier(2)

            async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                async with both:
                    writer.write(http(PICTURE, Content_Type="application/x-sh"))
                    await writer.drain()

            web.answers = {"/1": meet, "/2": meet}
            service = PictureService(PictureLimits(), 1, PictureSources(web=fetcher))
            urls = [(f"http://a.example:{web.port}/{number}", str(number)) for number in (1, 2)]
            read = await service.read(urls)
            assert [(picture.size, picture.param) for picture in read] == [((20, 10), "1"), ((20, 10), "2")]
            web.answers = {"/1": http(b"<html>not a picture</html>", Content_Type="image/png")}
            with pytest.raises(InvalidImage, match="not in a supported format"):
                await service.read(urls[:1])
            service.close()

    asyncio.run(run())
