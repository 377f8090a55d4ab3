"""Orientation: wherever it stands, however it is written, as Pillow finds it; everything beside it costs
nothing.
"""

import struct
import time

import pytest
from PIL import Image

from phiserve.codecs.orientation import ORIENTATION, orientation, orientation_in

XMP = b'<rdf:Description tiff:Orientation="%d"/>'


def exif(value: int = 6, order: str = ">", kind: int = 3, count: int = 1, before: int = 0) -> bytes:
    """A block whose orientation comes behind `before` other entries."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    others = b"".join(struct.pack(order + "HHII", number, 4, 1, 0) for number in range(before))
    values = struct.pack(order + {3: "Hxx", 4: "I"}.get(kind, "I"), value)
    entry = struct.pack(order + "HHI", ORIENTATION, kind, count) + values
    return head + struct.pack(order + "IH", 8, before + 1) + others + entry + bytes(4)


def by_pillow(block: bytes) -> object:
    """What Pillow reads from a block."""
    found = Image.Exif()
    found.load(block)
    return found.get(ORIENTATION)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("kind", [3, 4])
def test_every_value(value: int, order: str, kind: int) -> None:
    """In both orders of bytes, in either type of integer, alone and behind others, with and without the
    block's name.
    """
    for before in (0, 5):
        block = exif(value, order, kind, before=before)
        assert by_pillow(block) == value
        for named in (block, b"Exif\0\0" + block, b"Exif\0\0Exif\0\0" + block):
            assert orientation(named, b"") == value


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"rubbish, and more of it",
        exif(0),
        exif(9),
        exif(65535),
        exif(6, count=2),
        exif(0x06000000, kind=1),
        exif(6, kind=2),
        exif(6, kind=99),
        exif()[:12],
        exif()[:-8],
        b"II*\0\xff\xff\xff\xff" + bytes(40),
        b"II+\0" + exif(6, "<")[4:],
    ],
)
def test_what_is_no_orientation_is_none(block: bytes) -> None:
    """Too little, too large, of a type that is no number, beyond the end: the image is shown as it is
    stored.
    """
    assert orientation(block, b"") == 1


def test_xmp_where_exif_says_nothing() -> None:
    """As an attribute and as an element; EXIF comes first."""
    assert orientation(b"", XMP % 8) == 8
    assert orientation(b"", b"<tiff:Orientation>3</tiff:Orientation>") == 3
    assert orientation(b"", XMP % 9) == 1
    assert orientation(exif(6), XMP % 8) == 6
    assert orientation(exif(1), XMP % 8) == 1


def test_what_pillow_keeps_of_a_file() -> None:
    """EXIF as bytes, XMP as bytes or text, and ImageMagick's hexadecimal, which may be damaged."""
    assert orientation_in({}) == 1
    assert orientation_in({"exif": exif(3)}) == 3
    assert orientation_in({"xmp": XMP % 5}) == 5
    assert orientation_in({"XML:com.adobe.xmp": (XMP % 5).decode()}) == 5
    assert orientation_in({"Raw profile type exif": "\nexif\n  46\n" + exif(7).hex()}) == 7
    assert orientation_in({"Raw profile type exif": "\nexif\n  46\nno"}) == 1


def test_a_flood_of_entries() -> None:
    """As many as there can be cost some milliseconds, however much they claim to hold."""
    block = b"II*\0\x08\0\0\0\xff\xff" + struct.pack("<HHII", 1, 7, 2**20, 0) * 65535 + bytes(2**20)
    began = time.process_time()
    assert orientation(block, b"") == 1
    assert time.process_time() - began < 1
