"""JPEG: bytes that a device leaves between the last row and the end mark do not matter, and bytes that damage
leaves over do.
"""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from hostile import flat_jpeg, flat_jpeg_of_three_scans, jpeg_segment
from images import encode, noise, photo, shown
from jpegs import PHOTO, PROGRESSIVE, by_pillow, components
from phiserve.codecs import jpeg_entropy
from phiserve.codecs.jpeg import take_apart
from phiserve.codecs.jpeg_entropy import MAX_EXTRA_BYTES, without_extra_bytes
from phiserve.errors import InvalidImage

END = b"\xff\xd9"
DAMAGED = r"^the image is damaged or incomplete$"
EXTRA = {
    "four": b"\x12\x34\x56\x78",
    "eleven, as a webcam's": b"\x28\x01\x80\x0a\x28\x01\x80\x0a\x28\x01\x80",
    "text": b"Scanned by a machine; firmware 2.6",
    "one value": b"\xaa" * MAX_EXTRA_BYTES,
    "escaped": b"\x12\xff\0\xff\0\x34" * 9,
    "filled up": b"\x12\x34\x56\x78\x9a" * 5 + b"\xff" * 40,
}
KINDS = {
    "grey": encode(photo("page"), "JPEG"),
    "4:2:0": PHOTO,
    "4:4:4": encode(photo("china"), "JPEG", subsampling=0, quality=95),
    "4:2:2, restarts": encode(photo("china"), "JPEG", subsampling=1, restart_marker_rows=1),
    "grey, restarts": encode(photo("page"), "JPEG", restart_marker_blocks=7),
    "tables of its own": encode(photo("astronaut"), "JPEG", optimize=True),
    "inks": encode(photo("coffee").convert("CMYK"), "JPEG"),
    "sides of odd length": encode(photo("china").resize((35, 17)), "JPEG"),
}


def rest_of(content: bytes) -> bytes | None:
    """What is left of a file's scan."""
    parts = take_apart(content)
    return without_extra_bytes(parts.frame, parts.tables, b"".join(parts.scans).removesuffix(END))


@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA.keys())
@pytest.mark.parametrize("content", KINDS.values(), ids=KINDS.keys())
def test_bytes_before_the_end_mark(content: bytes, extra: bytes) -> None:
    """All rows are there; the pixels are those of the file without such bytes, and Pillow's."""
    longer = content[:-2] + extra + END
    assert np.array_equal(components(longer), components(content))
    assert np.array_equal(components(longer), np.asarray(by_pillow(longer)))
    assert np.array_equal(components(longer + b"behind"), components(content))


def test_large_scans() -> None:
    """A page from a scanner has megabytes, and tens of millions of codes."""
    content = encode(noise(1700, 1300), "JPEG", quality=90)
    assert len(content) > 3 * 2**19
    longer = content[:-2] + EXTRA["eleven, as a webcam's"] + END
    assert np.array_equal(components(longer), components(content))


def test_the_scan_is_cut_where_the_image_ends() -> None:
    """To the byte, wherever in it the last code stops; a scan with nothing behind is not cut."""
    for width in range(8, 48):
        content = encode(photo("china").resize((width, 16)), "JPEG")
        scan = b"".join(take_apart(content).scans).removesuffix(END)
        extra = bytes((scan[-1] ^ 0x40, 1, 2, 3, 4, 5, 6, 7))
        assert rest_of(content[:-2] + extra + END) == scan
        assert rest_of(content) is None


@pytest.mark.parametrize("content", [PHOTO, KINDS["4:2:2, restarts"]])
@pytest.mark.parametrize("kind", ["DQT", "SOF", "DHT", "SOS"])
def test_bytes_between_segments(content: bytes, kind: str) -> None:
    """Before any of the segments that matter."""
    mark = {"DQT": b"\xff\xdb", "SOF": b"\xff\xc0", "DHT": b"\xff\xc4", "SOS": b"\xff\xda"}[kind]
    longer = content.replace(mark, b"scanner" + mark, 1)
    assert np.array_equal(np.asarray(shown(longer)), np.asarray(shown(content)))


@pytest.mark.parametrize("content", [PHOTO, KINDS["4:2:2, restarts"], KINDS["grey"]])
@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA.keys())
def test_half_an_image_is_refused(content: bytes, extra: bytes) -> None:
    """Such bytes do not stand for rows that are missing."""
    for length in range(len(content) // 3, len(content) - 300, 4999):
        with pytest.raises(InvalidImage, match=DAMAGED):
            shown(content[:length] + extra + END)


@pytest.mark.parametrize("value", [0x00, 0x20, 0x55, 0xAA, 0xE5, 0xF6])
def test_what_overwrote_the_end_is_no_image(value: int) -> None:
    """One value in place of the last rows, from which rows can be read, and more of it."""
    for lost in (4096, 60_000):
        for filled in (lost, lost + 100, 9 * lost):
            content = PHOTO[: -2 - lost] + bytes((value,)) * filled + END
            with pytest.raises(InvalidImage, match=DAMAGED):
                shown(content)


def test_bytes_that_damage_leaves_over() -> None:
    """A changed byte makes a scan longer or shorter: then what follows the image are rows of it, or its end
    is none that an encoder writes.

    A few in a thousand look like an image with bytes behind it; here there are none.
    """
    choices = random.Random(2)
    left_over = 0
    for _ in range(300):
        offset = choices.randrange(700, len(PHOTO) - 2)
        changed = bytes((PHOTO[offset] ^ choices.randrange(1, 256),))
        try:
            scans = take_apart(PHOTO[:offset] + changed + PHOTO[offset + 1 :])
        except InvalidImage:
            continue
        left_over += scans.file_without_extra_bytes is not None
    assert left_over == 0


def test_rows_that_come_twice_are_refused() -> None:
    """The image is complete before its own data ends."""
    half = len(PHOTO) // 2
    for doubled in (20, 100, 200):
        with pytest.raises(InvalidImage, match=DAMAGED):
            shown(PHOTO[:half] + PHOTO[half - doubled :])


def test_limits() -> None:
    """More bytes than a device leaves, more scans than one."""
    extra = bytes(range(1, 255)) * 2
    for content in (
        PHOTO[:-2] + extra[: MAX_EXTRA_BYTES + 1] + END,
        PROGRESSIVE[:-2] + extra[:100] + END,
        flat_jpeg_of_three_scans((50, 40))[:-2] + extra[:100] + END,
    ):
        assert rest_of(content) is None
        with pytest.raises(InvalidImage, match=DAMAGED):
            shown(content)
    assert rest_of(PHOTO[:-2] + extra[:MAX_EXTRA_BYTES] + END) is not None


def test_broken_tables() -> None:
    """Tables that are missing, too short, without codes, or with more of them than there can be."""
    content = PHOTO[:-2] + EXTRA["text"] + END
    table = content.index(b"\xff\xc4")
    for broken in (
        content[:table] + content[content.index(b"\xff\xda") :],
        content[: table + 2] + b"\0\x03\0" + content[table + 5 :],
        content[: table + 5] + bytes(16) + content[table + 21 :],
        content[: table + 5] + b"\xff" * 16 + content[table + 21 :],
    ):
        with pytest.raises(InvalidImage, match=DAMAGED):
            shown(broken)
    assert rest_of(flat_jpeg((8, 8), [(1, 1)], scan=b"")) is None


def huffman(name: int, symbols: bytes) -> bytes:
    """A segment with one table, whose codes are of one bit each."""
    return b"\xff\xc4" + (19 + len(symbols)).to_bytes(2) + bytes((name, len(symbols))) + bytes(15) + symbols


def test_units_of_more_blocks_than_there_may_be() -> None:
    """Twelve, whose codes go on far behind the end of the data: the image is refused, as libjpeg does."""
    content = flat_jpeg((8, 8), [(3, 1)] * 4, scan=bytes(6))
    for kind in (0, 0x10):
        long_code = jpeg_segment(0xC4, bytes((kind, *[0] * 15, 1, 15)))
        content = content.replace(jpeg_segment(0xC4, bytes((kind, 1, *[0] * 15, 0))), long_code)
    assert rest_of(content) is None
    with pytest.raises(InvalidImage, match=DAMAGED):
        shown(content)


def test_only_so_many_codes_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short scan may hold millions: each of one bit, of a table that was made up for it."""
    content = KINDS["grey"][:-2] + EXTRA["text"] + END
    assert rest_of(content) is not None
    monkeypatch.setattr(jpeg_entropy, "MAX_CODES", 100)
    assert rest_of(content) is None


def test_tables_are_made_of_the_last_of_each_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may define each anew a hundred thousand times, and make up names for more."""
    made = 0

    def counted(lengths: bytes, symbols: bytes, *, is_of_means: bool) -> NDArray[np.int32]:
        nonlocal made
        made += 1
        return original(lengths, symbols, is_of_means=is_of_means)

    original = jpeg_entropy._table
    monkeypatch.setattr(jpeg_entropy, "_table", counted)
    content = KINDS["grey"][:-2] + EXTRA["text"] + END
    start = content.index(b"\xff\xc4")
    flood = b"".join(huffman(name, b"\0") for name in (0, 1, 0x10, 0x11, 0x21, 0x7F)) * 50
    assert rest_of(content[:start] + flood + content[start:]) == rest_of(content)
    assert made <= 2 * 8
