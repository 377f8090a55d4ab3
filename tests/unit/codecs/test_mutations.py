"""Whatever a file holds, it is shown or refused as an image: no exception of our own parsers escapes.

Twelve thousand mutations of each format were tried once; here are some hundred of each, always the same.
"""

import random
import zlib
from collections.abc import Iterator

import pytest

import hostile
from images import encode, noise
from jpegs import PHOTO
from phiserve.codecs import FORMATS, parse
from phiserve.errors import InvalidImage

MAX_PIXELS = 10**6
MUTATIONS = 400
SMALL = noise(19, 13)
VALUES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\xff\xda\0\2", b"\xff\xd9")
TEXT = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n  14\n" + b"45786966".ljust(28, b"0"))
SEEDS = {
    "JPEG": [
        encode(SMALL, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0"),
        encode(SMALL.convert("L"), "JPEG", progressive=True),
        encode(SMALL.convert("CMYK"), "JPEG", icc_profile=hostile.cmyk_profile()),
        hostile.flat_jpeg_of_three_scans((9, 9)),
        hostile.flat_jpeg((9, 9), [(1, 1)])[:-2],
    ],
    "PNG": [
        encode(SMALL, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0"),
        encode(SMALL.quantize(7)),
        encode(SMALL.convert("RGBA")),
        hostile.png((2, 1), 4, 0, b"\0\x5a", [hostile.png_chunk(b"tRNS", b"\0\5")]),
        hostile.png((2, 1), 16, 0, bytes(5), [hostile.png_chunk(b"tRNS", b"\x12\x34")]),
        hostile.png((3, 2), 8, 2, bytes(20), [hostile.png_chunk(b"zTXt", TEXT)]),
    ],
    "WEBP": [encode(SMALL, "WEBP"), hostile.webp((8, 8), encode(noise(8, 8), "WEBP"), 2)],
    "GIF": [
        encode(SMALL, "GIF"),
        hostile.gif((8, 8), (9, 4), b"!\xf9\x04\x0d\0\0\0\0" + b"!\xfe\x03abc\0"),
    ],
    "BMP": [encode(SMALL, "BMP"), hostile.bmp((3, 2), b"\3\x0a\0\0\3\x14\0\1", 1)],
}


def mutations(name: str) -> Iterator[bytes]:
    """Files of a format, changed in a few random ways: bytes set, taken out, put in, cut off, doubled."""
    choices = random.Random(name)
    for _ in range(MUTATIONS):
        content = bytearray(choices.choice(SEEDS[name]))
        for _ in range(choices.choice((1, 1, 2, 5))):
            start = choices.randrange(choices.choice((80, len(content)))) % max(len(content), 1)
            length = choices.choice((1, 2, 4, 40))
            changed = (
                content[:start] + choices.randbytes(1) + content[start + 1 :],
                content[:start] + content[start + length :],
                content[:start] + choices.randbytes(length) + content[start:],
                content[:start],
                content[:start] + choices.choice(VALUES) + content[start + 4 :],
                content[: start + length] + content[start:],
            )
            content = choices.choice(changed) or content
        whole = SEEDS[name][0][:12] + bytes(content[12:])
        yield with_checksums(whole) if name == "PNG" and choices.random() < 0.8 else whole


def with_checksums(content: bytes) -> bytes:
    """A PNG whose chunks' checksums are right, as far as they follow each other."""
    start = 8
    while (end := start + 12 + int.from_bytes(content[start : start + 4])) <= len(content):
        checksum = zlib.crc32(content[start + 4 : end - 4]).to_bytes(4)
        content = content[: end - 4] + checksum + content[end:]
        start = end
    return content


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_shown_or_refused(name: str) -> None:
    """Some are shown, most are refused, and nothing else happens."""
    shown = 0
    for content in mutations(name):
        try:
            parsed = parse(content)
            if parsed.size[0] * parsed.size[1] <= MAX_PIXELS:
                shown += parsed.decode().shape[1::-1] == parsed.size
        except InvalidImage:
            pass
    assert 0 < shown < MUTATIONS


@pytest.mark.parametrize(
    "content",
    [
        PHOTO[:4] + b"\xff\xda\0\2",
        hostile.flat_jpeg((8, 8), [(1, 1)], scan=b"").partition(b"\xff\xda")[0] + b"\xff\xda\0\2",
        PHOTO[:2] + b"\xff\xc0\0\3\x08" + PHOTO[2:],
        hostile.PNG_SIGNATURE + hostile.png_chunk(b"IHDR") + hostile.png_chunk(b"tRNS", bytes(2)),
        hostile.PNG_SIGNATURE + hostile.png_chunk(b"IHDR", bytes(12) + b"\7") + hostile.png_chunk(b"IEND"),
        b"GIF89a\1\0\1\0",
        hostile.gif((1, 1), (1, 1), frames=0)[:-1] + b"!\xf9\x04",
        b"BM" + bytes(10),
    ],
)
def test_structures_that_end_early(content: bytes) -> None:
    """Just where a parser would look at the next byte."""
    with pytest.raises(InvalidImage, match=r"^the image is damaged or incomplete$"):
        parse(content).decode()
