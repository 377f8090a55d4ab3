"""BMP: both directions, any header, opacity, and run-length encoding within bounds."""

import struct

import numpy as np
import pytest

from hostile import bmp
from images import photo, shown
from phiserve.codecs import parse
from phiserve.codecs.bmp import MAX_RLE_BYTES
from phiserve.errors import InvalidImage

RLE = 1


def column(content: bytes) -> list[object]:
    """The grey levels of the first column, from the top."""
    image = shown(content)
    return [image.getpixel((0, row)) for row in range(image.height)]


def test_rows_in_either_direction() -> None:
    """A negative height means that the top row comes first."""
    rows = bytes((10, 0, 0, 0, 20, 0, 0, 0))
    assert column(bmp((1, 2), rows)) == [(20, 20, 20), (10, 10, 10)]
    assert column(bmp((1, -2), rows)) == [(10, 10, 10), (20, 20, 20)]


def test_run_length_encoding() -> None:
    """Runs, and the ends of rows and image."""
    assert column(bmp((3, 2), b"\3\x0a\0\0\3\x14\0\1", RLE)) == [(20, 20, 20), (10, 10, 10)]


@pytest.mark.parametrize(
    "content",
    [
        bmp((2001, 2000), b"", RLE),
        bmp((2001, -2000), b"", RLE),
        bmp((10, 10), bytes(MAX_RLE_BYTES), RLE),
        bmp((10, 10), bytes(MAX_RLE_BYTES), 2),
    ],
)
def test_large_run_length_encoded_ones_are_refused(content: bytes) -> None:
    """By pixels and by bytes, whichever makes the decoder slow."""
    beyond = "^the image is a run-length encoded BMP beyond 1048576 bytes and 4000000 pixels$"
    with pytest.raises(InvalidImage, match=beyond):
        parse(content)


def test_large_plain_ones_are_served() -> None:
    """The bounds are those of run-length encoding only."""
    content = bmp((1, MAX_RLE_BYTES), bytes(4 * MAX_RLE_BYTES))
    assert shown(content).size == (1, MAX_RLE_BYTES)


def test_huge_sizes_are_told() -> None:
    """The header's numbers are passed on, for the limits to judge."""
    assert parse(bmp((2**31 - 1, 2**31 - 1), b"")).size == (2**31 - 1, 2**31 - 1)
    assert parse(bmp((8, -(2**31)), b"")).size == (8, 2**31)


MASKS = {"BGRA": (0xFF0000, 0xFF00, 0xFF, 0xFF000000), "RGBA": (0xFF, 0xFF00, 0xFF0000, 0xFF000000)}
V3, V4, V5 = 56, 108, 124


def bmp_with_opacity(levels: np.ndarray, order: str, header: int) -> bytes:
    """A BMP of 32 bits whose header has a mask for opacity; `levels` are red, green, blue and opacity."""
    height, width = levels.shape[:2]
    body = levels[::-1, :, ["RGBA".index(letter) for letter in order]].tobytes()
    head = struct.pack("<IiiHHIIiiII", header, width, height, 1, 32, 3, len(body), 0, 0, 0, 0)
    head = (head + struct.pack("<IIII", *MASKS[order])).ljust(header, b"\0")
    return b"BM" + struct.pack("<IHHI", 14 + header + len(body), 0, 0, 14 + header) + head + body


@pytest.mark.parametrize("order", MASKS)
@pytest.mark.parametrize("header", [V3, V4, V5])
def test_opacity_of_zero_everywhere_is_none(header: int, order: str) -> None:
    """Then browsers show the image opaque; as soon as one pixel has some, they take it at its word."""
    colours = np.asarray(photo("china").resize((64, 43)))
    levels = np.dstack([colours, np.zeros(colours.shape[:2], np.uint8)])
    assert np.array_equal(np.asarray(shown(bmp_with_opacity(levels, order, header))), colours)
    levels[5, 7, 3] = 255
    expected = np.full_like(colours, 255)
    expected[5, 7] = colours[5, 7]
    assert np.array_equal(np.asarray(shown(bmp_with_opacity(levels, order, header))), expected)


def test_the_fourth_byte_of_a_plain_header_is_no_opacity() -> None:
    """BITMAPINFOHEADER leaves it unused, whatever stands there."""
    for unused in (0, 1, 255):
        body = bytes((10, 20, 30, unused))
        head = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 32, 0, 4, 0, 0, 0, 0)
        content = b"BM" + struct.pack("<IHHI", 54 + 4, 0, 0, 54) + head + body
        assert shown(content).getpixel((0, 0)) == (30, 20, 10)


@pytest.mark.parametrize(
    "content",
    [
        b"BM",
        b"BM" + bytes(60),
        bmp((0, 8), b""),
        bmp((4, 4), bytes(15)),
        bmp((4, 4), b"\1", RLE),
        bmp((4, 4), b"\0\3\1", RLE),
        bmp((4, 4), bytes(16), 4),
        bmp((4, 4), bytes(16), 99),
    ],
)
def test_damaged_ones_are_refused(content: bytes) -> None:
    """Too short, without pixels, or encoded in ways that do not exist."""
    with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
        column(content)
