"""What hostile servers and names try on the fetcher: ways inside, and ways to make it work or wait without
end.
"""

import asyncio
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

from images import encode, noise
from phiserve.errors import DownloadFailed, ForbiddenUrl, InvalidImage
from phiserve.media import web as module
from web import INSIDE, PUBLIC, Answer, assert_error, fetch, http, redirect, world

IMAGE = encode(noise(20, 10))


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
    result, web, _ = fetch({"/a": redirect(location), "/secret": http(IMAGE)}, names=names)
    assert_error(result, ForbiddenUrl, "")
    assert web.hits == [(PUBLIC, "/a")]


@pytest.mark.parametrize("addresses", [[INSIDE], [PUBLIC, INSIDE], [INSIDE, PUBLIC]])
def test_names_that_lead_inside(addresses: list[str]) -> None:
    """One address that is not public is enough to refuse a name; nothing is connected to."""
    result, web, _ = fetch({"/a": http(IMAGE)}, names={"a.example": [addresses]})
    assert_error(result, ForbiddenUrl, "no public address")
    assert web.hits == []


def test_names_that_change() -> None:
    """A name that is public when looked up and inside when looked up again: there is no second look-up before
    connecting.
    """
    result, web, names = fetch({"/a": http(IMAGE)}, names={"a.example": [[PUBLIC], [INSIDE]]})
    assert result == IMAGE
    assert web.hits == [(PUBLIC, "/a")]
    assert names.asked == ["a.example"]


def test_names_that_change_between_hops() -> None:
    """The next hop looks up anew, and judges anew."""
    answers = {"/a": redirect("http://a.example:PORT/b"), "/b": http(IMAGE)}
    result, web, _ = fetch(answers, names={"a.example": [[PUBLIC], [INSIDE]]})
    assert_error(result, ForbiddenUrl, "no public address")
    assert web.hits == [(PUBLIC, "/a")]


def test_a_name_without_addresses() -> None:
    """Is one that does not exist."""
    result, _, _ = fetch({}, names={"a.example": [[]]})
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


def test_slow_redirects_share_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hops do not start the clock again: the one that the first has started runs out in the third."""
    clocks: list[tuple[asyncio.AbstractEventLoop, asyncio.Timeout]] = []

    def started(timeout_s: float) -> asyncio.Timeout:
        clocks.append((asyncio.get_running_loop(), asyncio.timeout(timeout_s)))
        return clocks[-1][1]

    async def until_it_runs_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop, clock = clocks[0]
        loop.call_soon_threadsafe(lambda: clock.reschedule(loop.time()))
        await reader.read()

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(timeout=started))
    answers: dict[str, bytes | Answer] = {"/a": redirect("/b"), "/b": redirect("/c"), "/c": until_it_runs_out}
    result, web, _ = fetch(answers, timeout_s=60)
    assert_error(result, DownloadFailed, "not downloaded within 60 s")
    assert (len(web.hits), len(clocks)) == (3, 1)


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
    "answer",
    [_endless, _endless_chunks, http(b"x" * 10_001), b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"],
)
def test_large_bodies(answer: bytes | Answer) -> None:
    """More than the limit is refused as soon as it is announced or has come."""
    result, _, _ = fetch({"/a": answer})
    assert_error(result, InvalidImage, "10000 bytes (max_image_bytes)")


def test_endless_headers() -> None:
    """A head is not read for ever."""
    result, _, _ = fetch({"/a": _endless_header})
    assert_error(result, DownloadFailed, "could not be downloaded")


def _flood(beginning: bytes, repeated: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(repeated * 200)
            await writer.drain()

    return answer


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        _flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        _flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"),
        _flood(_CHUNKED, b"1\r\nx\r\n"),
        _flood(_CHUNKED, b"01;name=value\r\nx\r\n"),
    ],
    ids=["continue", "hints", "chunks", "extensions"],
)
def test_floods_of_what_is_no_image(answer: Answer) -> None:
    """Endless work for a parser, hardly a byte of an image: what comes off the wire is counted, and ends it
    long before time.
    """
    result, _, _ = fetch({"/a": answer}, timeout_s=60, max_bytes=10**8)
    assert_error(result, DownloadFailed, "sent too much besides the image")


@pytest.mark.parametrize("trailer", [b"A: b\r\n", b"A: " + b"b" * 1000 + b"\r\n", b"b"])
def test_floods_of_trailers(trailer: bytes) -> None:
    """The parser stops them, and the deadline where it forgets to say so."""
    result, _, _ = fetch({"/a": _flood(_CHUNKED + b"1\r\nx\r\n0\r\n", trailer)}, timeout_s=0.5)
    assert_error(result, DownloadFailed, "the image")


def test_floods_share_one_limit_over_all_redirects() -> None:
    """A little less than too much, three times, is too much."""
    flood = b"HTTP/1.1 100 Continue\r\n\r\n" * 4000
    answers = {"/a": flood + redirect("/b"), "/b": flood + redirect("/c"), "/c": flood + http(IMAGE)}
    result, web, _ = fetch(answers, timeout_s=60)
    assert_error(result, DownloadFailed, "sent too much besides the image")
    assert len(web.hits) == 3
    assert fetch({"/a": flood + http(IMAGE)}, timeout_s=60)[0] == IMAGE


def test_answers_are_parsed_on_another_thread() -> None:
    """However long a parser works, the server's event loop does not wait for it."""
    threads: list[str] = []

    async def run() -> None:
        async with world({"a.example": [[PUBLIC]]}) as (web, _, fetcher):
            web.answers = {"/a": http(IMAGE)}
            await fetcher.fetch(
                f"http://a.example:{web.port}/a",
                10_000,
                lambda _: threads.append(threading.current_thread().name),
            )

    asyncio.run(run())
    assert set(threads) == {"phiserve-fetch"}
