"""The fetcher against real servers on this host; what hostile ones try is `test_web_hostile`'s."""

import asyncio
import ssl
import threading
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from images import encode, noise
from phiserve.core import ImagePlaceholder
from phiserve.errors import DownloadFailed, InvalidImage, InvalidRequest
from phiserve.media import web as module
from phiserve.media.connector import MediaConnector
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits, RequestMeter, TooLargeTogether
from web import INSIDE, PUBLIC, Answer, Web, assert_error, fetch, http, ignore, redirect, until, world

IMAGE = encode(noise(20, 10))
SELF_SIGNED = Path(__file__).parents[2] / "self_signed.pem"


def test_an_image() -> None:
    """Its bytes, whatever type the server claims; cookies are neither kept nor sent."""
    answers = {
        "/a?b=c": http(status="302 Found", Location="/d", Set_Cookie="k=v"),
        "/d": http(IMAGE, Content_Type="text/html"),
    }
    result, web, names = fetch(answers, "/a?b=c#d")
    assert result == IMAGE
    assert web.hits == [(PUBLIC, "/a?b=c"), (PUBLIC, "/d")]
    assert names.asked == ["a.example", "a.example"]
    assert b"k=v" not in web.heads[1]


def test_what_is_accepted() -> None:
    """Servers are told at each hop that an image is wanted, or whatever else is."""

    async def run() -> list[bytes]:
        async with world({"a.example": [[PUBLIC]]}, 10.0) as (web, _, fetcher):
            web.answers = {"/a": redirect("/b"), "/b": http(IMAGE)}
            for accept in ((), ("application/pdf",)):
                url = f"http://a.example:{web.port}/a"
                assert await fetcher.fetch(url, 10_000, ignore, *accept) == IMAGE
            return web.heads

    accepted = [line for head in asyncio.run(run()) for line in head.split(b"\r\n") if b"Accept:" in line]
    assert accepted == [b"Accept: image/*"] * 2 + [b"Accept: application/pdf"] * 2


def test_redirects_are_followed() -> None:
    """Three at most; each name is looked up once."""
    chain = {
        "/a": redirect("http://b.example:PORT/b"),
        "/b": redirect("/c"),
        "/c": redirect("//a.example:PORT/d"),
    }
    result, web, names = fetch({**chain, "/d": http(IMAGE)})
    assert result == IMAGE
    assert [path for _, path in web.hits] == ["/a", "/b", "/c", "/d"]
    assert names.asked == ["a.example", "b.example", "b.example", "a.example"]
    result, web, _ = fetch({**chain, "/d": redirect("/e"), "/e": http(IMAGE)})
    assert_error(result, DownloadFailed, "redirects more than 3 times")
    assert "/e" not in [path for _, path in web.hits]


def test_a_redirect_to_nowhere() -> None:
    """Without a Location, a redirect leads back to itself, and that ends."""
    result, _, _ = fetch({"/a": http(status="302 Found")})
    assert_error(result, DownloadFailed, "redirects more than 3 times")


def test_names_that_do_not_exist() -> None:
    """A failed look-up is told without what the library says."""
    result, _, _ = fetch({}, host="none.example")
    assert_error(result, DownloadFailed, "could not be downloaded")


def test_limit_is_exact() -> None:
    """As many bytes as the limit are fine."""
    result, _, _ = fetch({"/a": http(b"x" * 10_000)})
    assert result == b"x" * 10_000


def test_the_request_as_a_whole_has_a_limit() -> None:
    """What all images of a request add up to is counted while it comes."""
    meter = RequestMeter(ImageLimits(max_request_bytes=5000))
    result, _, _ = fetch({"/a": http(b"x" * 10_000)}, arrived=meter.add_bytes)
    assert_error(result, TooLargeTogether, "5000 bytes (max_request_image_bytes)")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(status="404 Not Found"), "status 404"),
        (http(b"secret of the server", status="500 Oops"), "status 500"),
        (http(status="304 Not Modified"), "status 304"),
        (http(IMAGE, Content_Encoding="gzip"), "compressed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "could not be downloaded"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "could not be downloaded"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nnonsense\r\n",
            "could not be downloaded",
        ),
        (b"SSH-2.0-OpenSSH\r\n", "could not be downloaded"),
        (b"", "could not be downloaded"),
    ],
)
def test_bad_answers(answer: bytes | Answer, words: str) -> None:
    """Errors, compression, answers cut short or not HTTP at all: told in our own words, nothing of the body
    repeated.
    """
    result, _, _ = fetch({"/a": answer})
    assert_error(result, DownloadFailed, words)
    assert "secret" not in str(result)


def fetch_by_tls(tls: ssl.SSLContext | None) -> tuple[bytes | InvalidRequest, Web]:
    """What is made of an image under https://a.example, whose server speaks TLS or does not."""

    async def run() -> tuple[bytes | InvalidRequest, Web]:
        async with world({"a.example": [[PUBLIC]]}, tls=tls) as (web, _, fetcher):
            web.answers = {"/a": http(IMAGE)}
            try:
                return await fetcher.fetch(f"https://a.example:{web.port}/a", 10_000, ignore), web
            except InvalidRequest as error:
                return error, web

    return asyncio.run(run())


def test_https_needs_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose certificate nobody vouches for is not asked for anything; it would have answered."""
    self_signed = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    self_signed.load_cert_chain(SELF_SIGNED)
    result, web = fetch_by_tls(self_signed)
    assert_error(result, DownloadFailed, "could not be downloaded")
    assert web.hits == []
    monkeypatch.setattr(
        aiohttp, "TCPConnector", partial(aiohttp.TCPConnector, ssl=False)
    )  # certificates are not looked at
    result, web = fetch_by_tls(self_signed)
    assert result == IMAGE
    assert web.hits == [(PUBLIC, "/a")]


def test_https_needs_tls() -> None:
    """A server that does not speak TLS is not asked again without it."""
    result, web = fetch_by_tls(None)
    assert_error(result, DownloadFailed, "could not be downloaded")
    assert web.hits == []


def test_images_of_a_request_are_fetched_at_once() -> None:
    """Two images whose servers wait for each other both arrive; content is sniffed, not believed."""

    async def run() -> None:
        async with world({"a.example": [[PUBLIC]]}) as (web, _, fetcher):
            both = asyncio.Barrier(2)

            async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                async with both:
                    writer.write(http(IMAGE, Content_Type="application/x-sh"))
                    await writer.drain()

            web.answers = {"/1": meet, "/2": meet}
            service = ImageService(ImageLimits(), 1, MediaConnector(web=fetcher))
            images = [
                ImagePlaceholder(f"http://a.example:{web.port}/{number}", "low", f"image {number}")
                for number in (1, 2)
            ]
            read = await service.read(images)
            assert [image.size for image in read] == [(20, 10), (20, 10)]
            web.answers = {"/1": http(b"<html>not an image</html>", Content_Type="image/png")}
            with pytest.raises(InvalidImage, match=r"^image 1: .*not in a supported format"):
                await service.read(images[:1])
            service.close()

    asyncio.run(run())


def test_interim_responses() -> None:
    """Some before the answer, as HTTP allows, are no fault."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    result, _, _ = fetch({"/a": interim + http(IMAGE)})
    assert result == IMAGE


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """One would look names up itself, and reach what this server may not."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{INSIDE}:9")
    result, web, _ = fetch({"/a": http(IMAGE)})
    assert result == IMAGE
    assert web.hits == [(PUBLIC, "/a")]


async def _never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


def test_a_request_that_is_given_up() -> None:
    """A client that hangs up ends the download too, not only the wait for it."""

    async def run() -> None:
        async with world({"a.example": [[PUBLIC]]}) as (web, _, fetcher):
            web.answers = {"/a": _never}
            service = ImageService(ImageLimits(), 1, MediaConnector(web=fetcher))
            image = ImagePlaceholder(f"http://a.example:{web.port}/a", "low", "image 1")
            reading = asyncio.create_task(service.read([image]))
            await until(lambda: web.open_connections == 1)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            await until(lambda: web.open_connections == 0)
            service.close()

    asyncio.run(run())


def test_a_slow_host_holds_up_its_own_images_only() -> None:
    """Its downloads wait for one another; those from elsewhere do not wait for them."""

    async def run() -> None:
        async with world({"a.example": [[PUBLIC]], "b.example": [[PUBLIC]]}, timeout_s=60) as (
            web,
            _,
            fetcher,
        ):
            released = asyncio.Event()
            most = 0

            async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                nonlocal most
                most = max(most, web.open_connections)
                await released.wait()
                writer.write(http(IMAGE))

            web.answers = {"/slow": wait, "/fast": http(IMAGE)}
            slow = [
                asyncio.create_task(fetcher.fetch(f"http://a.example:{web.port}/slow", 10_000, ignore))
                for _ in range(module.MAX_CONNECTIONS + 1)
            ]
            await until(lambda: len(web.hits) == module.MAX_CONNECTIONS_PER_HOST)
            assert await fetcher.fetch(f"http://b.example:{web.port}/fast", 10_000, ignore) == IMAGE
            released.set()
            assert await asyncio.gather(*slow) == [IMAGE] * len(slow)
            assert most == module.MAX_CONNECTIONS_PER_HOST

    asyncio.run(run())


def test_the_end() -> None:
    """Closing ends what still runs and the thread; a fetcher never used has none."""

    async def run() -> None:
        async with world({"a.example": [[PUBLIC]]}) as (web, _, fetcher):
            assert not _fetching_threads()
            web.answers = {"/a": _never}
            fetching = asyncio.create_task(fetcher.fetch(f"http://a.example:{web.port}/a", 10_000, ignore))
            await until(lambda: web.open_connections == 1)
            assert len(_fetching_threads()) == 1
            await fetcher.close()
            assert not _fetching_threads()
            await until(lambda: web.open_connections == 0)
            with pytest.raises(asyncio.CancelledError):
                await fetching

    asyncio.run(run())


def _fetching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "phiserve-fetch"]
