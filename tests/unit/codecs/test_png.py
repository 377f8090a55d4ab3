"""PNG: what its checksums reveal is refused, what they don't protect does not matter, and missing rows are
noticed although all checksums are right.
"""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hostile import png, png_chunk
from images import encode, noise, shown
from phiserve.codecs import parse
from phiserve.codecs.orientation import ORIENTATION
from phiserve.codecs.png import MAX_CHUNKS, take_apart
from phiserve.errors import InvalidImage

RED_DOT = png((1, 1), 8, 2, b"\0\xff\0\0")

DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
KINDS = [(colour_type, depth) for colour_type, depths in DEPTHS.items() for depth in depths]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PALETTE = png_chunk(b"PLTE", bytes(3 * 256))


def pixels(content: bytes) -> list[tuple[int, ...]]:
    """All pixels of the decoded image, row by row."""
    return [tuple(colour) for colour in np.asarray(shown(content)).reshape(-1, 3).tolist()]


@pytest.mark.parametrize("mode", ["RGB", "P", "L", "RGBA"])
def test_no_changed_byte_is_answered(mode: str) -> None:
    """Two hundred copies with one byte changed each: all are refused."""
    content = encode(noise(40, 30).convert(mode))
    choices = random.Random(0)
    for _ in range(200):
        offset, change = choices.randrange(len(content)), choices.randrange(1, 256)
        with pytest.raises(InvalidImage):
            pixels(content[:offset] + bytes((content[offset] ^ change,)) + content[offset + 1 :])


def test_no_shortened_file_is_answered() -> None:
    """Not even without the last byte of its end."""
    content = encode(noise(12, 10))
    for length in range(len(content)):
        with pytest.raises(InvalidImage):
            pixels(content[:length])


@pytest.mark.parametrize(
    ("depth", "key", "row"),
    [
        (1, b"\0\1", b"\x80"),
        (2, b"\0\1", b"\x60"),
        (4, b"\0\5", b"\x5a"),
        (8, b"\0\5", b"\x05\x99"),
        (16, b"\x12\x34", b"\x12\x34\x12\x35"),
    ],
)
def test_transparent_grey_in_any_depth(depth: int, key: bytes, row: bytes) -> None:
    """The first pixel has the transparent colour and the second has not."""
    first, second = pixels(png((2, 1), depth, 0, b"\0" + row, [png_chunk(b"tRNS", key)]))
    assert first == (255, 255, 255)
    assert second != (255, 255, 255)


def test_transparent_colour_of_16_bits() -> None:
    """It is found by its upper bytes, which are all that is decoded."""
    key = struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)
    content = png(
        (2, 1), 16, 2, b"\0" + key + struct.pack(">HHH", 0x1134, 0x5678, 0x9ABC), [png_chunk(b"tRNS", key)]
    )
    assert pixels(content) == [(255, 255, 255), (0x11, 0x56, 0x9A)]


def test_16_bit_colours_are_shown_by_their_upper_bytes() -> None:
    """As Pillow and with it the reference implementation reads them; with and without alpha."""
    colour = struct.pack(">HHH", 0x1234, 0xFFFF, 0x00FF)
    assert pixels(png((1, 1), 16, 2, b"\0" + colour)) == [(0x12, 0xFF, 0x00)]
    assert pixels(png((2, 1), 16, 6, b"\0" + colour + b"\xff\xff" + colour + b"\0\0")) == [
        (0x12, 0xFF, 0x00),
        (255, 255, 255),
    ]


def test_palette_with_transparency() -> None:
    """Entries may be clear, half clear and solid."""
    palette = png_chunk(b"PLTE", bytes((0, 0, 0, 0, 0, 0, 10, 20, 30)))
    content = png((3, 1), 8, 3, b"\0\0\1\2", [palette, png_chunk(b"tRNS", b"\x00\x80")])
    assert pixels(content) == [(255, 255, 255), (127, 127, 127), (10, 20, 30)]


def test_animations_show_their_first_image() -> None:
    """Whether or not it belongs to the animation."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    for default_image in (False, True):
        content = encode(frames[0], save_all=True, append_images=frames[1:], default_image=default_image)
        assert set(pixels(content)) == {(255, 0, 0)}


@pytest.mark.parametrize("where", ["before", "behind"])
@pytest.mark.parametrize("kind", ["eXIf", "xmp", "ImageMagick's"])
def test_orientation_before_and_behind_pixels(where: str, kind: str) -> None:
    """In each of the three ways in which a PNG may tell it."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    hexadecimal = b"\nexif\n%8d\n%s\n" % (len(exif.tobytes()), exif.tobytes().hex().encode())
    chunk = {
        "eXIf": png_chunk(b"eXIf", exif.tobytes()[6:]),
        "xmp": png_chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="6"/>'),
        "ImageMagick's": png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexadecimal)),
    }[kind]
    rows = b"\0" + bytes(9) + b"\0" + bytes(9)
    content = png((3, 2), 8, 2, rows, [chunk]) if where == "before" else png((3, 2), 8, 2, rows, after=chunk)
    assert parse(content).size == (2, 3)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(10**7))),
        png_chunk(b"iCCP", b"x\0\7what"),
        png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**7))),
        b"\0\0\0\1tEXtk\0\0\0\0",
        png_chunk(b"acTL", b"?"),
        b"".join(png_chunk(b"tEXt", b"%d\0text" % number) for number in range(10_000)),
    ],
)
def test_what_is_beside_the_pixels_does_not_matter(chunk: bytes) -> None:
    """Huge and damaged profiles and texts, ten thousand texts, a damaged animation."""
    assert pixels(png((1, 1), 8, 2, b"\0\xff\0\0", [chunk])) == [(255, 0, 0)]


def test_floods_of_chunks_are_refused() -> None:
    """Before and behind the pixels."""
    for content in (
        png((1, 1), 8, 2, b"\0\xff\0\0", [png_chunk(b"prIv")] * MAX_CHUNKS),
        png((1, 1), 8, 2, b"\0\xff\0\0", after=png_chunk(b"prIv") * MAX_CHUNKS),
    ):
        with pytest.raises(InvalidImage, match=f"has more than {MAX_CHUNKS} PNG chunks"):
            take_apart(content)


def test_unknown_critical_chunks_are_refused() -> None:
    """Their capital letter says that the image can't be shown without them."""
    with pytest.raises(InvalidImage, match="is damaged"):
        take_apart(png((1, 1), 8, 2, b"\0\xff\0\0", [png_chunk(b"CgBI", b"\x50\0\x20\2")]))


@pytest.mark.parametrize("before", [[png_chunk(b"IHDR", bytes((0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0)))], []])
def test_headers_and_palettes_that_are_out_of_order(before: list[bytes]) -> None:
    """Two headers, of which one would have to be believed, and a palette that is missing."""
    with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
        pixels(png((1, 1), 8, 2 if before else 3, b"\0\1\2\3"[: 4 if before else 2], before))


def test_what_follows_the_end_is_left_out() -> None:
    """Another file may hang on to an image."""
    assert take_apart(RED_DOT + noise(9, 9).tobytes()).file == RED_DOT


def test_plain_files_stay_as_they_are() -> None:
    """Nothing is taken from an image without metadata, in one data chunk or many, and it is not copied."""
    content = encode(noise(300, 200))
    assert content.count(b"IDAT") > 1
    assert take_apart(content).file is content


def length_of(width: int, height: int, colour_type: int, depth: int) -> int:
    """Bytes of all rows with their filters' bytes."""
    return height * (1 + -(-width * CHANNELS[colour_type] * depth // 8))


@pytest.mark.parametrize(("colour_type", "depth"), KINDS)
@pytest.mark.parametrize("value", [0, 91])
def test_missing_rows_are_noticed(colour_type: int, depth: int, value: int) -> None:
    """In every kind of image: whole it is shown, a row or a byte shorter it is refused."""
    row = 1 + -(-5 * CHANNELS[colour_type] * depth // 8)
    rows = (b"\0" + bytes((value,)) * (row - 1)) * 4
    palette = [PALETTE] if colour_type == 3 else []
    assert shown(png((5, 4), depth, colour_type, rows, palette)).size == (5, 4)
    for short in (b"", rows[:-row], rows[:-1]):
        with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
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
        with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
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
