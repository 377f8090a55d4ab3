"""What is known of an image is known to the owner alone who sent it."""

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pytest

from images import data_url, encode, noise
from phiserve import codecs
from phiserve.codecs import ParsedImage
from phiserve.core import ImagePlaceholder
from phiserve.vision.documents import SHORT_URL
from phiserve.vision.images import DECODED, ImageService
from phiserve.vision.limits import ImageLimits
from phiserve.vision.sizes import plan_crops


@dataclass
class CountedParsing:
    """Parses as `codecs` does, and records what."""

    parsed: list[bytes] = field(default_factory=list)

    def parse(self, content: bytes, formats: Collection[str]) -> ParsedImage:
        """As `codecs.parse`."""
        self.parsed.append(content)
        return codecs.parse(content, formats)


@pytest.fixture
def counted() -> CountedParsing:
    return CountedParsing()


@pytest.fixture
def service(counted: CountedParsing) -> Iterator[ImageService]:
    service = ImageService(ImageLimits(), workers=2, parse=counted.parse)
    yield service
    service.close()


@pytest.mark.parametrize("side", [40, 350], ids=["short", "long"])
def test_owners_know_nothing_of_each_others_images(
    service: ImageService, counted: CountedParsing, side: int
) -> None:
    """Under another salt the same image has another hash and is parsed and decoded anew: no time is saved by
    which an owner could tell that another has sent it.
    """
    content = encode(noise(side, 250), "BMP")
    assert (len(content) > SHORT_URL) == (side == 350)
    shown = [ImagePlaceholder(data_url(content), "auto", "p0")]
    before = DECODED._value.get()

    async def run() -> None:
        salts = (None, "alice", "bob", "alice")
        images = [(await service.read(shown, salt))[0] for salt in salts]
        plan = plan_crops(*images[0].size, 1)
        await asyncio.gather(*(service.crops(image, plan) for image in images))
        nobody, alice, bob, again = (image.digest for image in images)
        assert len({nobody, alice, bob}) == 3
        assert alice == again

    asyncio.run(run())
    assert counted.parsed == [content] * 3
    assert DECODED._value.get() == before + 3
