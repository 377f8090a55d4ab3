"""BMP: both directions, any header, and run-length encoding within bounds."""

import pytest

from hostile import bmp
from images import shown
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
