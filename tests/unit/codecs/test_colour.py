"""Every mode becomes the RGB image that a person would see."""

import numpy as np
import pytest
from PIL import Image

from hostile import cmyk_profile
from images import encode, noise, shown
from phiserve.codecs import Pixels
from phiserve.codecs.colour import to_pixels

CYAN = Image.new("CMYK", (8, 8), (255, 0, 0, 0))


def first_pixel(content: bytes) -> object:
    """The colour at the top left."""
    return shown(content).getpixel((0, 0))


def test_rgb_is_left_alone() -> None:
    """A profile changes nothing."""
    image = noise(4, 4)
    image.info["icc_profile"] = cmyk_profile()
    assert np.array_equal(to_pixels(image), np.asarray(image))


def test_cmyk_through_its_profile() -> None:
    """The profile says that cyan ink looks green (L*a*b* 60, -80, 50), whatever arithmetic says."""
    assert looks_green(to_pixels(_with_profile(CYAN, cmyk_profile())))


def looks_green(pixels: Pixels) -> bool:
    """Whether green prevails in the first pixel."""
    red, green, blue = pixels[0, 0].tolist()
    return bool(green > max(red, blue) + 50)


def _with_profile(image: Image.Image, profile: bytes) -> Image.Image:
    tagged = image.copy()
    tagged.info["icc_profile"] = profile
    return tagged


def test_a_cmyk_file_brings_its_profile() -> None:
    """The profile travels in the file; without one, cyan is cyan."""
    content = encode(CYAN, "JPEG", icc_profile=cmyk_profile())
    assert looks_green(np.asarray(shown(content)))
    assert first_pixel(encode(CYAN, "JPEG")) == (0, 255, 255)


@pytest.mark.parametrize(
    "profile", [b"rubbish", b"", cmyk_profile()[:200], cmyk_profile().replace(b"CMYK", b"RGB ")]
)
def test_useless_profiles_are_passed_over(profile: bytes) -> None:
    """Damaged, cut short, or of another colour space: the image is shown as if it had none."""
    assert to_pixels(_with_profile(CYAN, profile))[0, 0].tolist() == [0, 255, 255]


def test_16_bit_grey_is_scaled() -> None:
    """65535 is white and 32768 is middle grey, where Pillow's own conversion would clip."""
    levels = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert to_pixels(Image.fromarray(levels))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_16_bit_grey_with_a_transparent_level() -> None:
    """That level is white, its neighbours are not."""
    image = Image.fromarray(np.array([[999, 1000, 1001]], np.uint16))
    image.info["transparency"] = 1000
    assert to_pixels(image)[0, :, 0].tolist() == [4, 255, 4]


def test_every_level_of_transparency() -> None:
    """Alpha mixes with white, and an image without colours stays without."""
    alphas = np.arange(256, dtype=np.uint8)[None]
    grey = np.full_like(alphas, 100)
    mixed = to_pixels(Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alphas))))[0]
    expected = 255 + (100 - 255) * np.arange(256) / 255
    assert np.abs(mixed - expected[:, None]).max() <= 0.51
