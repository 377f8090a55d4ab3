"""Limits grow with what an image may be, and every kind of image keeps within them."""

import pytest
from PIL import Image

from images import encode, noise
from phiserve.codecs import parse
from phiserve.sandbox.limits import WorkerLimits
from phiserve.vision.sizes import plan_crops
from unit.sandbox.conftest import MakeDecoder

SIDE = 1200
LIMITS = WorkerLimits(max_bytes=40 * 2**20, max_pixels=SIDE * SIDE)


def test_what_limits_depend_on() -> None:
    """Memory on the settings, time on the image at hand."""
    small, large = WorkerLimits(max_pixels=10), WorkerLimits(max_pixels=64_000_000)
    assert large.memory_bytes - small.memory_bytes == 32 * (64_000_000 - 10)
    assert large.exchange_bytes == 50 * 2**20 + 16 * 336 * 336 * 3
    images_alone = WorkerLimits(max_pdf_bytes=1)
    assert images_alone.exchange_bytes == 20 * 2**20 + 16 * 336 * 336 * 3
    assert large.memory_bytes - images_alone.memory_bytes == 3 * 30 * 2**20
    assert large.all_bytes == large.memory_bytes + large.exchange_bytes
    assert (large.cpu_s(0), large.cpu_s(64_000_000)) == (10, 42)
    assert large.wait_s(64_000_000) == 6 * 42


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("WEBP", "RGBA", {"quality": 30, "method": 0}),
        ("JPEG", "CMYK", {"progressive": True, "subsampling": 0}),
        ("PNG", "RGBA", {"compress_level": 1}),
    ],
)
def test_the_largest_images_of_the_dearest_formats(
    make_decoder: MakeDecoder, kind: str, mode: str, options: dict[str, object]
) -> None:
    """Transparent, or in inks, and lying on their side: they are decoded within the limit."""
    exif = Image.Exif()
    exif[0x112] = 6
    image = noise(SIDE // 8, SIDE // 8).convert(mode).resize((SIDE, SIDE))
    content = encode(image, kind, exif=exif, **options)
    plan = plan_crops(SIDE, SIDE, 1)
    crops = make_decoder(LIMITS, workers=1, parse="phiserve.codecs:parse").crops(
        content, SIDE * SIDE, plan, None
    )
    assert crops.shape == (1, 336, 336, 3)
    assert parse(content).size == (SIDE, SIDE)
