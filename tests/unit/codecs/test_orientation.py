"""Orientation: wherever it stands, however it is written, as Pillow finds it; everything beside it costs
nothing.
"""

import io
import struct
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from images import encode, noise, shown
from phiserve.codecs.orientation import MAX_XMP_BYTES, ORIENTATION, orientation, orientation_in

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


NAMED = 'xmlns:%s="http://ns.adobe.com/tiff/1.0/"'


@pytest.mark.parametrize(
    "description",
    [
        f"<rdf:Description {NAMED % 'tiff'} tiff:Orientation='6'/>",
        f'<rdf:Description {NAMED % "tiff"}\n   tiff:Orientation = "6"/>',
        f"<rdf:Description {NAMED % 't'} t:Orientation='6'/>",
        f"<rdf:Description {NAMED % 'ns1.x-y'}\n\tns1.x-y:Orientation='6'/>",
        f"<rdf:Description tiff:Make='x' {NAMED.replace(chr(34), chr(39)) % 'a'} a:Orientation='6'/>",
        f"<rdf:Description {NAMED % 'größe'} größe:Orientation='6'/>",
        f"<rdf:Description {NAMED % 't'}><t:Orientation>6</t:Orientation></rdf:Description>",
        f"<rdf:Description><t:Orientation {NAMED % 't'}>\n 6\n</t:Orientation></rdf:Description>",
        "<rdf:Description><Orientation xmlns='http://ns.adobe.com/tiff/1.0/'>6</Orientation></rdf:Description>",
        "<rdf:Description><tiff:Orientation>6</tiff:Orientation></rdf:Description>",
    ],
)
def test_ways_to_write_xmp(description: str) -> None:
    """Either quote, any prefix of the namespace, attribute or element: one thing in XML. A parser agrees
    wherever the packet is well-formed.
    """
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{rdf}" {NAMED % "tiff"}>{description}'
    packet += "</rdf:RDF></x:xmpmeta>"
    assert by_xml(packet) == "6"
    assert orientation(b"", packet.encode()) == 6
    assert orientation(exif(3), packet.encode()) == 3


def by_xml(packet: str) -> str | None:
    """The orientation that a parser of XML finds in a packet."""
    name = "{http://ns.adobe.com/tiff/1.0/}Orientation"
    for element in ElementTree.fromstring(packet).iter():  # noqa: S314 - the packets are the test's own
        if name in element.attrib or element.tag == name:
            return (element.get(name) or element.text or "").strip()
    return None


@pytest.mark.parametrize(
    "packet",
    [
        b"<a other:Orientation='6'/>",
        b"<a xmlns:other='http://ns.adobe.com/exif/1.0/' other:Orientation='6'/>",
        b"<a xmlns='http://ns.adobe.com/tiff/1.0/' Orientation='6'/>",
        b"<a><Orientation>6</Orientation></a>",
        b"<a tiff:Orientation='6\"/>",
        b"<a tiff:Orientation='66'/>",
        b"<a tiff:OrientationOfThumbnail='6'/>",
        b"<tiff:Orientation>66</tiff:Orientation>",
        b"<a nottiff:Orientation='6'/>",
        b" " * MAX_XMP_BYTES + b"<a tiff:Orientation='6'/>",
    ],
)
def test_what_is_no_orientation_in_xmp(packet: bytes) -> None:
    """Of another namespace or of none, not a number, or behind all that is looked at."""
    assert orientation(b"", packet) == 1


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_files_with_xmp(name: str) -> None:
    """Written by Pillow, they are shown upright."""
    packet = f"<x {NAMED % 'a'} a:Orientation='6'/>"
    if name == "PNG":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", packet)
        content = encode(noise(9, 4), name, pnginfo=texts)
    else:
        content = encode(noise(9, 4), name, xmp=packet.encode())
    with Image.open(io.BytesIO(content)) as stored:
        expected = stored.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(np.asarray(shown(content)), np.asarray(expected))


HOSTILE = (
    b" xmlns:a", b" xmlns:a=' ", b" xmlns:a='http://ns.adobe.com/tiff/1.0/'", b" a:Orientation='6'", b"<a:",
    b"<tiff:Orientation ", b" tiff:Orientation=", b" tiff:", b"tiff", b"\xff", b" ", b"<", b"='6'",
)  # fmt: skip


@pytest.mark.parametrize(
    "start", [b"", b" xmlns:a=", b"<tiff:Orientation>", b" tiff:Orientation='", b" xmlns:"]
)
@pytest.mark.parametrize("repeated", HOSTILE)
def test_floods_in_xmp(start: bytes, repeated: bytes) -> None:
    """The time goes by the packet's length, whatever is repeated in it."""
    packet = start + repeated * (2**26 // len(repeated))
    began = time.process_time()
    assert orientation(b"", packet) == 1
    assert time.process_time() - began < 1


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
