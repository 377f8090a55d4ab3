"""Half an image is never shown, although all lengths, checksums and end marks of its file are right.

Each file is made from a whole one: its pixels' data is cut, and what says how long it is says so. JPEG has
tests of its own.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from PIL import Image

from hostile import PNG_SIGNATURE, bmp, png_chunk
from images import encode, photo, shown
from phiserve.codecs import EXTRA_FORMATS, FORMATS
from phiserve.errors import InvalidImage

SIZE = (96, 64)
ALL = (*FORMATS, *EXTRA_FORMATS)
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
END_OF_CODES = 0x81
RLE = 1


def small(mode: str = "RGB") -> Image.Image:
    """A real photograph, reduced."""
    return photo("china").resize(SIZE).convert(mode)


def assert_only_the_whole_is_shown(
    make: Callable[[int], bytes], length: int, cuts: Iterable[int], tolerance: float = 0.0
) -> None:
    """A file that `make` makes of the first bytes or pixels is the whole image or refused.

    It is whole with `length` of them, up to `tolerance` in the mean of all levels.
    """
    whole = np.asarray(shown(make(length), ALL)).astype(int)
    assert np.abs(whole - np.asarray(small())).mean() < 30
    num_refused = 0
    for cut in cuts:
        try:
            levels = np.asarray(shown(make(cut), ALL))
        except InvalidImage:
            num_refused += 1
        else:
            assert np.abs(levels - whole).mean() <= tolerance, cut
    assert num_refused > 0.8 * len([*cuts])


def rows_of(pixels: np.ndarray, *, is_interlaced: bool) -> bytes:
    """The rows of a PNG, each behind the number of no filter, in one pass or in seven."""
    passes = PASSES if is_interlaced else ((0, 0, 1, 1),)
    return b"".join(
        b"\0" + row.tobytes() for x, y, across, down in passes for row in pixels[y::down, x::across]
    )


@pytest.mark.parametrize("is_interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize("way", ["rows", "stream"])
def test_png(way: str, *, is_interlaced: bool) -> None:
    """Too few rows or passes in a stream that is right in itself, or a stream that stops; checksums fit."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *SIZE, 8, 2, 0, 0, is_interlaced))
    rows = rows_of(np.asarray(small()), is_interlaced=is_interlaced)
    stream = zlib.compress(rows)

    def make(length: int) -> bytes:
        data = zlib.compress(rows[:length]) if way == "rows" else stream[:length]
        return PNG_SIGNATURE + header + png_chunk(b"IDAT", data) + png_chunk(b"IEND")

    length = len(rows if way == "rows" else stream)
    last = length if way == "rows" else length - 4  # the stream's own checksum is not of the image
    assert_only_the_whole_is_shown(make, length, [*range(0, last - 40, 197), *range(last - 40, last)])


def gif_of_codes(pixels: bytes, *, has_end: bool) -> bytes:
    """A grey GIF of 7 bits, whose codes are all of 8 bits: single pixels, and often one that clears."""
    codes = bytearray()
    for start in range(0, len(pixels), 100):
        codes += b"\x80" + pixels[start : start + 100]
    codes += bytes((END_OF_CODES,) * has_end)
    blocks = (codes[start : start + 255] for start in range(0, len(codes), 255))
    palette = b"".join(bytes((2 * level,) * 3) for level in range(128))
    head = b"GIF89a" + struct.pack("<HHBBB", *SIZE, 0x86, 0, 0) + palette
    frame = b"," + struct.pack("<HHHHBB", 0, 0, *SIZE, 0, 7)
    return head + frame + b"".join(bytes((len(block),)) + block for block in blocks) + b"\0;"


@pytest.mark.parametrize("has_end", [False, True], ids=["cut", "closed"])
def test_gif(*, has_end: bool) -> None:
    """The codes end too early, with the code for their end or without, and the image's end follows."""
    pixels = bytes(level >> 1 for level in small("L").tobytes())
    assert_only_the_whole_is_shown(
        lambda length: gif_of_codes(pixels[:length], has_end=has_end),
        len(pixels),
        [*range(0, len(pixels) - 20, 97), *range(len(pixels) - 20, len(pixels))],
    )


@pytest.mark.parametrize("end", [b"", b"\0\1"], ids=["cut", "closed"])
def test_bmp_of_runs(end: bytes) -> None:
    """The runs end too early, with the mark of their end or without."""
    rows = np.asarray(small("L"))[::-1]
    runs = b"\0\0".join(b"".join(bytes((1, level)) for level in row.tolist()) for row in rows)
    cuts = [*range(0, len(runs) - 20, 98), *range(len(runs) - 20, len(runs) - 1, 2)]
    assert_only_the_whole_is_shown(
        lambda length: bmp(SIZE, runs[:length] + (end or b"\0\1" * (length == len(runs))), RLE),
        len(runs),
        cuts,
    )


def test_bmp() -> None:
    """Rows that are missing, in a file whose header counts none of them."""
    rows = np.asarray(small("L"))[::-1].tobytes()
    assert_only_the_whole_is_shown(
        lambda length: bmp(SIZE, rows[:length]), len(rows), range(0, len(rows), 61)
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    ("options", "tolerance"), [({}, 0.0), ({"lossless": True}, 0.5)], ids=["lossy", "lossless"]
)
def test_webp(mode: str, options: dict[str, object], tolerance: float) -> None:
    """Each chunk that holds pixels is cut within, and all lengths fit.

    libwebp forgives the last code of a lossless image its last bits, by which a few pixels may be wrong.
    """
    image = small()
    if mode == "RGBA":
        opacity = image.convert("L").point(lambda level: 192 | level)
        image.putalpha(opacity)
    content = encode(image, "WEBP", **options)
    chunks = [*riff_chunks(content)]
    for number, (kind, body) in enumerate(chunks):
        if kind in (b"VP8 ", b"VP8L", b"ALPH"):

            def make(length: int, number: int = number) -> bytes:
                """The file, whose chunk of this number has this length."""
                kind, body = chunks[number]
                return riff([*chunks[:number], (kind, body[:length]), *chunks[number + 1 :]])

            cuts = [*range(0, len(body) - 20, 37), *range(len(body) - 20, len(body))]
            assert_only_the_whole_is_shown(make, len(body), cuts, tolerance)


def riff_chunks(content: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Kind and body of each chunk of a WEBP file."""
    start = 12
    while start < len(content):
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        yield content[start : start + 4], content[start + 8 : start + 8 + length]
        start += 8 + length + length % 2


def riff(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A WEBP file of these chunks."""
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2) for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("has_rest", [False, True], ids=["file shortened", "file left"])
@pytest.mark.parametrize("name", EXTRA_FORMATS)
def test_extents_of_avif_and_heic(name: str, *, has_rest: bool) -> None:
    """The extent of the image's item is shortened, and with it the data or not."""
    content = heic(small()) if name == "HEIC" else encode(small(), name)
    data = content.index(b"mdat") + 4
    box = content.index(b"iloc") - 4
    end = box + int.from_bytes(content[box : box + 4])  # a single extent, whose length stands last
    length = int.from_bytes(content[end - 4 : end])
    assert data + length == len(content)

    def make(cut: int) -> bytes:
        """The file, whose extent has this length."""
        boxes = content[: end - 4] + cut.to_bytes(4) + content[end : data - 8]
        return boxes + (
            content[data - 8 :] if has_rest else (8 + cut).to_bytes(4) + content[data - 4 :][: 4 + cut]
        )

    assert_only_the_whole_is_shown(make, length, [*range(1, length - 20, 41), *range(length - 20, length)])


def heic(image: Image.Image) -> bytes:
    """A HEIC file, by the library that also reads it."""
    from pillow_heif import from_pillow

    buffer = io.BytesIO()
    from_pillow(image).save(buffer)
    return buffer.getvalue()
