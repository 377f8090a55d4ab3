"""The image service reads, checks and cuts, off the event loop."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from images import data_url, encode, noise
from phiserve.codecs.decode import Header, read_header
from phiserve.errors import InvalidImage
from phiserve.media.url_gate import ForbiddenUrl
from phiserve.vision import images as module
from phiserve.vision.images import ImageService, image_key
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import CropPlan, plan_crops


@pytest.fixture
def service() -> Iterator[ImageService]:
    limits = ImageLimits(
        50_000, 10_000, max_aspect_ratio=20, max_request_bytes=100_000, max_request_pixels=15_000
    )
    service = ImageService(limits, workers=2)
    yield service
    service.close()


def test_read_then_cut(service: ImageService) -> None:
    """Reading tells the size and hash; cutting gives the plan's crops."""

    async def run() -> None:
        (image,) = await service.read([(data_url(encode(noise(60, 40))), "p")])
        assert image.size == (60, 40)
        crops = await service.crops(image, plan_crops(60, 40, 4))
        assert crops.shape == (4, 336, 336, 3)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("size", "code"),
    [((200, 51), "image_too_large"), ((42, 2), "image_too_thin"), ((2, 42), "image_too_thin")],
)
def test_limits_hold_before_decoding(
    service: ImageService, size: tuple[int, int], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels and aspect are judged by the header; nothing is decoded."""
    monkeypatch.setattr(module, "decode_pixels", None)
    with pytest.raises(InvalidImage) as caught:
        asyncio.run(service.read([(data_url(encode(noise(*size))), "messages[3].content[0].image_url")]))
    assert caught.value.code == code
    assert caught.value.message.startswith("messages[3].content[0].image_url: ")


def test_images_of_a_request_have_limits_together(service: ImageService) -> None:
    """Each is within its limits, both are not: the one with which it becomes too much is named, and the
    limit.
    """
    url = data_url(encode(noise(100, 80)))
    with pytest.raises(InvalidImage, match=r"max_request_image_pixels") as caught:
        asyncio.run(service.read([(url, "first"), (url, "second")]))
    assert (caught.value.param, caught.value.code) == ("second", "image_too_large")


def test_the_same_image_is_named_whichever_is_read_first(
    service: ImageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels add up in the request's order, not in that of the threads."""
    first, second = encode(noise(100, 80)), encode(noise(1, 1).resize((100, 80)))
    second_is_read = threading.Event()

    def first_last(content: bytes, *arguments: Any) -> Header:
        assert content == second or second_is_read.wait(60)
        header = read_header(content, *arguments)
        second_is_read.set()
        return header

    monkeypatch.setattr(module, "read_header", first_last)
    with pytest.raises(InvalidImage, match=r"max_request_image_pixels") as caught:
        asyncio.run(service.read([(data_url(first), "first"), (data_url(second), "second")]))
    assert caught.value.param == "second"


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "HTTP://x", "file:///etc/passwd", "ftp://x/y", "", "a.png"]
)
def test_nothing_is_fetched_unless_allowed(service: ImageService, url: str) -> None:
    """Other than data URLs: a 400 that names the place and repeats nothing of the URL."""
    with pytest.raises(ForbiddenUrl) as caught:
        asyncio.run(service.read([(url, "messages[0]")]))
    assert (caught.value.status, caught.value.param, caught.value.code) == (
        400,
        "messages[0]",
        "invalid_image_url",
    )
    assert "example" not in caught.value.message
    assert "passwd" not in caught.value.message


def test_work_is_done_on_the_pool(service: ImageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither reading nor cutting runs on the event loop's thread."""
    threads: list[str] = []
    original = read_header

    def recording(*arguments: Any) -> Header:
        threads.append(threading.current_thread().name)
        return original(*arguments)

    monkeypatch.setattr(module, "read_header", recording)
    asyncio.run(service.read([(data_url(encode(noise(4, 4))), "p")]))
    assert threads
    assert all(name.startswith("phiserve-image") for name in threads)


@pytest.mark.parametrize("url_length", [module.SHORT_URL, 0])
def test_a_header_is_read_once(
    service: ImageService, url_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is shown again is known by its hash; limits and places are this time's."""
    monkeypatch.setattr(module, "SHORT_URL", url_length)
    url, read = data_url(encode(noise(40, 30))), []

    def counting(*arguments: Any) -> Header:
        read.append(arguments)
        return read_header(*arguments)

    monkeypatch.setattr(module, "read_header", counting)
    for place in ("first", "second"):
        (image,) = asyncio.run(service.read([(url, place)]))
        assert (image.size, image.param) == ((40, 30), place)
    assert len(read) == 1


def test_who_asks_for_the_same_crops_at_once_shares_the_work(
    service: ImageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One who gives up takes nothing from the others."""
    begun, may_end = threading.Event(), threading.Event()
    work: list[object] = []

    def slow(image: module.EncodedImage, plan: CropPlan) -> object:
        work.append(image)
        begun.set()
        assert may_end.wait(60)
        return "crops"

    monkeypatch.setattr(module, "_cut", slow)

    async def run() -> None:
        (image,) = await service.read([(data_url(encode(noise(60, 40))), "p")])
        waiting = [asyncio.create_task(service.crops(image, plan_crops(60, 40, 4))) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 60)
        waiting[0].cancel()
        may_end.set()
        assert await asyncio.gather(*waiting[1:]) == ["crops", "crops"]
        assert await service.crops(image, plan_crops(60, 40, 4)) == "crops"
        await service.crops(image, plan_crops(60, 40, 1))

    asyncio.run(run())
    assert len(work) == 2


def test_what_nobody_waits_for_is_not_begun(service: ImageService, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is begun anew for who asks later."""
    may_end = threading.Event()
    done: list[str] = []

    def slow(image: module.EncodedImage, plan: CropPlan) -> str:
        assert may_end.wait(60)
        done.append(image.digest)
        return image.digest

    monkeypatch.setattr(module, "_cut", slow)
    header = read_header(encode(noise(6, 4)), "p")
    busy, unwanted, plan = (
        [module.EncodedImage(b"", name, header, "p") for name in "ab"],
        "c",
        plan_crops(6, 4, 1),
    )
    late = module.EncodedImage(b"", unwanted, header, "p")

    async def run() -> None:
        working = [asyncio.create_task(service.crops(image, plan)) for image in busy]  # as many as threads
        leaving = [asyncio.create_task(service.crops(late, plan)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        again = asyncio.create_task(service.crops(late, plan))
        await asyncio.sleep(0)
        may_end.set()
        await asyncio.gather(*working, again)

    asyncio.run(run())
    assert sorted(done) == ["a", "b", "c"]


def test_damage_is_told_to_all_who_wait(service: ImageService) -> None:
    """And again to who asks later."""
    content = encode(noise(60, 40))
    damaged = module.EncodedImage(content[: len(content) // 2], "digest", read_header(content, "p"), "p")

    async def run() -> None:
        told = await asyncio.gather(
            *(service.crops(damaged, plan_crops(60, 40, 1)) for _ in range(2)), return_exceptions=True
        )
        assert [type(error) for error in told] == [InvalidImage, InvalidImage]

    for _ in range(2):
        asyncio.run(run())


def test_key_tells_apart_what_differs() -> None:
    """Content, grid and tenant all count; the max_crops only through the grid it leads to."""
    square, wide = plan_crops(10, 10, 16), plan_crops(10, 1, 16)
    keys = {image_key(d, p, s) for d in ("a", "b") for p in (square, wide) for s in ("", "tenant")}
    assert len(keys) == 8
    assert image_key("a", plan_crops(10, 10, 16)) == image_key("a", plan_crops(10, 10, 17))
