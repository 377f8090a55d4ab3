"""A name stands for one image: other bytes under it are refused at its place, within one owner's names."""

import asyncio

import pytest

from images import data_url, encode, noise
from phiserve.core import ImagePlaceholder
from phiserve.errors import InvalidRequest
from phiserve.vision import uuids
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.vision.uuids import KnownUuids


def named(
    uuid: str | None, param: str = "messages[0].content[1].image_url", seed: int = 0
) -> ImagePlaceholder:
    """An image with a name."""
    return ImagePlaceholder(data_url(encode(noise(20, 20, seed=seed))), "auto", param, uuid)


def test_other_bytes_are_refused() -> None:
    """At the name; the same bytes, other names and no name are not."""
    known = KnownUuids()
    known.check(named("a"), "1", None)
    known.check(named("a"), "1", None)
    known.check(named("b"), "2", None)
    for nameless in (None, ""):
        known.check(named(nameless), "3", None)
        known.check(named(nameless), "4", None)
    for _ in range(2):  # what was refused is not remembered
        with pytest.raises(InvalidRequest) as refusal:
            known.check(named("a"), "2", None)
        assert refusal.value.param == "messages[0].content[1].uuid"
    known.check(named("a"), "1", None)


def test_names_belong_to_their_owner() -> None:
    """What another calls an image is nobody else's concern."""
    known = KnownUuids()
    for number, salt in enumerate((None, "alice", "bob")):
        known.check(named("a"), str(number), salt)


def test_the_longest_unused_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the number of names; a lone surrogate is a name as well."""
    monkeypatch.setattr(uuids, "MAX_UUIDS", 2)
    known = KnownUuids()
    known.check(named("a"), "1", None)
    known.check(named("\ud800"), "2", None)
    known.check(named("a"), "1", None)
    known.check(named("c"), "3", None)
    known.check(named("\ud800"), "4", None)
    with pytest.raises(InvalidRequest):
        known.check(named("c"), "4", None)


def test_images_that_are_read() -> None:
    """In one request or over several; a request that is refused at an earlier image changes nothing."""

    async def run() -> None:
        service = ImageService(ImageLimits(), 1)
        try:
            await service.read([named("a"), named("a"), named("b", seed=1)])
            for images in ([named("a", seed=2)], [named("x", seed=3), named("x", "m.image_url", seed=4)]):
                with pytest.raises(InvalidRequest) as refusal:
                    await service.read(images)
                assert refusal.value.param == images[-1].uuid_param
            await service.read([named("a", seed=2)], "alice")
        finally:
            service.close()

    asyncio.run(run())
