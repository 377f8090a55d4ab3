"""The image service reads, checks and cuts, off the event loop, and does once what is asked for twice."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from blake3 import blake3

from images import data_url, encode, noise
from phiserve import codecs
from phiserve.codecs import ParsedImage, Pixels
from phiserve.core import ImagePlaceholder
from phiserve.errors import EngineFailure, ForbiddenUrl, InvalidImage
from phiserve.vision.crops import cut_crops
from phiserve.vision.documents import SHORT_URL
from phiserve.vision.images import EncodedImage, ImageService, image_key
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import plan_crops

WAIT_S = 60
CONTENT = encode(noise(60, 40))
PLAN = plan_crops(60, 40, 1)


def nothing(content: bytes) -> None:
    """What happens before parsing or decoding where a test says nothing else."""


@dataclass
class WatchedCodecs:
    """Parses and decodes as `codecs` does, after what a test wants to happen, and records which files."""

    before_parsing: Callable[[bytes], None] = nothing
    before_decoding: Callable[[bytes], None] = nothing
    parsed: list[bytes] = field(default_factory=list)
    decoded: list[bytes] = field(default_factory=list)
    threads: list[str] = field(default_factory=list)

    def parse(self, content: bytes, formats: Collection[str]) -> ParsedImage:
        """As `codecs.parse`."""
        self.threads.append(threading.current_thread().name)
        self.before_parsing(content)
        self.parsed.append(content)
        image = codecs.parse(content, formats)

        def decode() -> Pixels:
            self.threads.append(threading.current_thread().name)
            self.before_decoding(content)
            self.decoded.append(content)
            return image.decode_stored()

        return replace(image, decode_stored=decode)


@pytest.fixture
def watched() -> WatchedCodecs:
    return WatchedCodecs()


@pytest.fixture
def service(watched: WatchedCodecs) -> Iterator[ImageService]:
    limits = ImageLimits(
        500_000, 100_000, max_aspect_ratio=20, max_request_bytes=1_000_000, max_request_pixels=150_000
    )
    service = ImageService(limits, workers=2, parse=watched.parse)
    yield service
    service.close()


def shown(*contents: bytes) -> list[ImagePlaceholder]:
    """Images of a request as data URLs, called p0, p1, …"""
    return [
        ImagePlaceholder(data_url(content), "auto", f"p{number}") for number, content in enumerate(contents)
    ]


def test_read_then_cut(service: ImageService) -> None:
    """Reading tells the size and hash; cutting gives the plan's crops."""

    async def run() -> None:
        (image,) = await service.read(shown(CONTENT))
        assert (image.size, image.param, image.content) == ((60, 40), "p0", CONTENT)
        crops = await service.crops(image, plan_crops(60, 40, 4))
        assert crops.shape == (4, 336, 336, 3)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("size", "code"),
    [((400, 251), "image_too_large"), ((42, 2), "image_too_thin"), ((2, 42), "image_too_thin")],
)
def test_limits_hold_before_decoding(
    service: ImageService, watched: WatchedCodecs, size: tuple[int, int], code: str
) -> None:
    """Pixels and aspect are judged by the size; nothing is decoded."""
    with pytest.raises(InvalidImage, match=r"^p0: ") as caught:
        asyncio.run(service.read(shown(encode(noise(*size)))))
    assert (caught.value.code, caught.value.param) == (code, "p0")
    assert watched.decoded == []


def test_images_of_a_request_have_limits_together(service: ImageService) -> None:
    """Each is within its limits, both are not: the one with which it becomes too much is named, and the
    limit.
    """
    content = encode(noise(300, 300), "JPEG")
    with pytest.raises(InvalidImage, match=r"^p1: .*max_request_image_pixels") as caught:
        asyncio.run(service.read(shown(content, content)))
    assert (caught.value.param, caught.value.code) == ("p1", "image_too_large")


def test_the_same_image_is_named_whichever_is_read_first(
    service: ImageService, watched: WatchedCodecs
) -> None:
    """Pixels add up in the request's order, not in that of the threads."""
    first, second = encode(noise(300, 300), "JPEG"), encode(noise(1, 1).resize((300, 300)))
    second_is_read = threading.Event()

    def first_last(content: bytes) -> None:
        if content == second:
            second_is_read.set()
        assert second_is_read.wait(WAIT_S)

    watched.before_parsing = first_last
    with pytest.raises(InvalidImage, match=r"max_request_image_pixels") as caught:
        asyncio.run(service.read(shown(first, second)))
    assert caught.value.param == "p1"


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "HTTP://x", "file:///etc/passwd", "ftp://x/y", "", "a.png"]
)
def test_nothing_is_fetched_unless_allowed(service: ImageService, url: str) -> None:
    """Other than data URLs: a 400 that names the image and repeats nothing of the URL."""
    with pytest.raises(ForbiddenUrl) as caught:
        asyncio.run(service.read([ImagePlaceholder(url, "auto", "p")]))
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "p", "invalid_image_url")
    assert "example" not in caught.value.message
    assert "passwd" not in caught.value.message


def test_work_is_done_on_the_pool(service: ImageService, watched: WatchedCodecs) -> None:
    """Neither parsing nor decoding runs on the event loop's thread."""

    async def run() -> None:
        (image,) = await service.read(shown(CONTENT))
        await service.crops(image, PLAN)

    asyncio.run(run())
    assert len(watched.threads) == 2
    assert all(name.startswith("phiserve-image") for name in watched.threads)


@pytest.mark.parametrize("side", [40, 350], ids=["short", "long"])
def test_an_image_is_parsed_once(service: ImageService, watched: WatchedCodecs, side: int) -> None:
    """Decoding takes what was parsed. Shown again it is known by its hash, under another param."""
    content = encode(noise(side, 250), "BMP")
    assert (len(content) > SHORT_URL) == (side == 350)

    async def run() -> None:
        (first,) = await service.read(shown(content))
        await service.crops(first, plan_crops(*first.size, 1))
        _, again = await service.read(shown(CONTENT, content))
        assert (first.param, again.param, first.size) == ("p0", "p1", again.size)

    asyncio.run(run())
    assert watched.parsed == [content, CONTENT]
    assert watched.decoded == [content]


def test_what_is_known_by_its_size_is_parsed_where_it_must_be_decoded(
    service: ImageService, watched: WatchedCodecs
) -> None:
    """As when the engine no longer has it; and then once."""

    async def run() -> None:
        await service.read(shown(CONTENT))
        (again,) = await service.read(shown(CONTENT))
        assert again.parsed is None
        assert np.array_equal(
            await service.crops(again, PLAN), cut_crops(codecs.parse(CONTENT).decode(), PLAN)
        )

    asyncio.run(run())
    assert watched.parsed == [CONTENT] * 2
    assert watched.decoded == [CONTENT]


def test_who_asks_for_the_same_crops_at_once_shares_the_work(
    service: ImageService, watched: WatchedCodecs
) -> None:
    """One who gives up takes nothing from the others."""
    begun, may_end = threading.Event(), threading.Event()

    def slow(content: bytes) -> None:
        begun.set()
        assert may_end.wait(WAIT_S)

    watched.before_decoding = slow

    async def run() -> None:
        (image,) = await service.read(shown(CONTENT))
        waiting = [asyncio.create_task(service.crops(image, PLAN)) for _ in range(3)]
        await asyncio.to_thread(begun.wait, WAIT_S)
        waiting[0].cancel()
        may_end.set()
        first, second = await asyncio.gather(*waiting[1:])
        assert first is second
        assert await service.crops(replace(image, param="other"), PLAN) is first
        assert await service.crops(image, plan_crops(60, 40, 4)) is not first

    asyncio.run(run())
    assert len(watched.decoded) == 2


def test_what_nobody_waits_for_is_not_begun(service: ImageService, watched: WatchedCodecs) -> None:
    """And it is begun anew for who asks later."""
    may_end = threading.Event()

    def slow(content: bytes) -> None:
        assert may_end.wait(WAIT_S)

    contents = [encode(noise(60, 40, seed)) for seed in range(3)]
    watched.before_decoding = slow

    async def run() -> None:
        *busy, unwanted = await service.read(shown(*contents))
        working = [asyncio.create_task(service.crops(image, PLAN)) for image in busy]  # as many as threads
        leaving = [asyncio.create_task(service.crops(unwanted, PLAN)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        again = asyncio.create_task(service.crops(unwanted, PLAN))
        await asyncio.sleep(0)
        may_end.set()
        await asyncio.gather(*working, again)

    asyncio.run(run())
    assert sorted(watched.decoded) == sorted(contents)


def test_damage_is_told_to_all_who_wait(service: ImageService, watched: WatchedCodecs) -> None:
    """Each is told which image of his own request it is; and again who asks later."""
    damaged = EncodedImage(CONTENT[: len(CONTENT) // 2], "digest", (60, 40), "first")

    async def run() -> None:
        for _ in range(2):
            told = await asyncio.gather(
                service.crops(damaged, PLAN),
                service.crops(replace(damaged, param="second"), PLAN),
                return_exceptions=True,
            )
            assert [str(error) for error in told] == [
                "first: the image is damaged or incomplete",
                "second: the image is damaged or incomplete",
            ]
            assert [type(error) for error in told] == [InvalidImage, InvalidImage]

    asyncio.run(run())
    assert len(watched.parsed) == 1


@pytest.mark.parametrize("step", ["before_parsing", "before_decoding"])
def test_a_fault_of_ours_is_not_the_images(
    service: ImageService, watched: WatchedCodecs, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged by its type and the file's hash, never by content, and answered with a 500 that names the
    image.
    """

    def fail(content: bytes) -> None:
        raise IndexError(f"content: {content!r}")

    async def run() -> None:
        images = await service.read(shown(CONTENT), "salt")
        await service.crops(images[0], PLAN)

    setattr(watched, step, fail)
    with pytest.raises(EngineFailure, match=r"^p0: the server failed on this image$") as caught:
        asyncio.run(run())
    assert (caught.value.status, caught.value.code, caught.value.param) == (500, "internal_error", "p0")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("phiserve.vision.faults", logging.ERROR)
    assert record.message.startswith(f"IndexError over the image with BLAKE3 {blake3(CONTENT).hexdigest()}")
    assert "in fail" in record.message
    assert "IHDR" not in caplog.text


def test_key_tells_apart_what_differs() -> None:
    """Content and grid count; the max_crops only through the grid it leads to."""
    square, wide = plan_crops(10, 10, 16), plan_crops(10, 1, 16)
    assert len({image_key(digest, plan) for digest in ("a", "b") for plan in (square, wide)}) == 4
    assert image_key("a", plan_crops(10, 10, 16)) == image_key("a", plan_crops(10, 10, 17))
