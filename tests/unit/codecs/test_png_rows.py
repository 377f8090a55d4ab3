"""PNG's rows: a stream that ends early, its checksums right, is no image, whatever it would have looked
like.
"""

import io
import struct
import zlib

import pytest
from PIL import Image

from hostile import png, png_chunk
from images import encode, noise
from phiserve.codecs.decode import decode_rgb, read_header
from phiserve.errors import InvalidImage

KINDS = [
    (0, 1),
    (0, 2),
    (0, 4),
    (0, 8),
    (0, 16),
    (2, 8),
    (2, 16),
    (3, 1),
    (3, 2),
    (3, 4),
    (3, 8),
    (4, 8),
    (4, 16),
    (6, 8),
    (6, 16),
]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE = png_chunk(b"PLTE", bytes(3 * 256))


def length_of(width: int, height: int, colour_type: int, depth: int) -> int:
    """Bytes of all rows with their filters' bytes."""
    return height * (1 + -(-width * CHANNELS[colour_type] * depth // 8))


def shown(content: bytes) -> Image.Image:
    """The image as it is answered."""
    return decode_rgb(content, read_header(content, "image"), "image")


@pytest.mark.parametrize(("colour_type", "depth"), KINDS)
@pytest.mark.parametrize("value", [0, 91])
def test_missing_rows_are_noticed(colour_type: int, depth: int, value: int) -> None:
    """In every kind of image: whole it is shown, a row or a byte shorter it is refused."""
    row = 1 + -(-5 * CHANNELS[colour_type] * depth // 8)
    rows = (b"\0" + bytes((value,)) * (row - 1)) * 4
    palette = [PALETTE] if colour_type == 3 else []
    assert shown(png((5, 4), depth, colour_type, rows, palette)).size == (5, 4)
    for short in (b"", rows[:-row], rows[:-1]):
        with pytest.raises(InvalidImage, match=r"^image: the image is damaged or incomplete$"):
            shown(png((5, 4), depth, colour_type, short, palette))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 3), (8, 8), (5, 9), (1, 9), (9, 1)])
def test_interlaced_rows(size: tuple[int, int]) -> None:
    """Seven passes, some of them empty; what is missing of the last one is noticed."""
    width, height = size
    passes = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    rows = b""
    for left, top, across, down in passes:
        columns = len(range(left, width, across))
        rows += b"".join(b"\0" + b"\x5b\0\0" * columns for _ in range(top, height, down) if columns)
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 1))

    def interlaced(data: bytes) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND")

    assert set(shown(interlaced(rows)).get_flattened_data()) == {(0x5B, 0, 0)}
    for short in (rows[:-1], rows[: len(rows) // 2]):
        with pytest.raises(InvalidImage, match=r"^image: the image is damaged or incomplete$"):
            shown(interlaced(short))


def test_more_rows_than_asked_for() -> None:
    """Some encoders write a little more; the image is whole."""
    assert shown(png((5, 4), 8, 2, bytes(length_of(5, 4, 2, 8) + 16))).size == (5, 4)


def test_whole_images_are_left_as_they_are() -> None:
    """No mark stays behind."""
    image = noise(33, 21)
    for content in (
        encode(image),
        encode(image.convert("RGBA")),
        encode(image.quantize(7)),
        encode(image.convert("1")),
    ):
        with Image.open(io.BytesIO(content)) as expected:
            assert shown(content).tobytes() == expected.convert("RGB").tobytes()
