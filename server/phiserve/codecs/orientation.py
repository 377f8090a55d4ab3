"""Reads which way up an image is from its EXIF block or its XMP packet, and nothing else of them.

Pillow would read every entry of both, of which there may be tens of thousands. Source: TIFF 6.0, section 2;
EXIF 2.32, 4.6.4.
"""

import re
from collections.abc import Mapping
from typing import Literal

ORIENTATION = 0x0112
"""The tag of EXIF's entry for the orientation."""

UPRIGHT = 1
"""Orientation of an image that needs no turning."""

_Order = Literal["little", "big"]

_HEAD = b"Exif\0\0"
_ORDERS: dict[bytes, _Order] = {b"II*\0": "little", b"MM\0*": "big"}
_INTEGER_BYTES = {3: 2, 4: 4}
"""Bytes of an integer by its type. EXIF allows SHORT only; some write LONG, and Pillow reads it."""
_ENTRY_BYTES = 12
"""An entry holds its tag (2 bytes), type (2), number of values (4), and the value or its offset (4)."""

MAX_XMP_BYTES = 2**20
"""How much of an XMP packet is looked at. Elsewhere than in JPEG it may be as long as the file."""

_TIFF = rb"http://ns\.adobe\.com/tiff/1\.0/"
_NAME = rb"[\w.\-\x80-\xff]++"
_NAMESPACE = re.compile(rb"\sxmlns(?::(%b))?+\s*+=\s*+([\"'])%b\2" % (_NAME, _TIFF))
_ATTRIBUTE = re.compile(rb"\s(%b):Orientation\s*+=\s*+([\"'])\s*+([0-9])\s*+\2" % _NAME)
_ELEMENT = re.compile(rb"<(?:(%b):)?+Orientation(?:\s[^<>]*+)?+>\s*+([0-9])\s*+<" % _NAME)
"""No byte is looked at by more than one attempt of an expression, however often it repeats what one begins
with: the time is bounded by the packet's length. Possessive quantifiers (`*+`) never go back."""


def orientation(exif: bytes, xmp: bytes) -> int:
    """The orientation of an image, 1 to 8, from its EXIF block or else its XMP packet.

    A damaged block counts as absent: it says nothing about the pixels, and viewers ignore it too.
    """
    value = _in_exif(exif)
    if value is None:
        value = _in_xmp(xmp[:MAX_XMP_BYTES])
    return value if value is not None and 1 <= value <= 8 else UPRIGHT


def orientation_in(info: Mapping[str | tuple[int, int], object]) -> int:
    """The orientation of an image, 1 to 8, from what Pillow keeps of its file in `Image.info`.

    ImageMagick writes EXIF into a PNG's texts, in hexadecimal after three lines.
    """
    exif, profile = info.get("exif"), info.get("Raw profile type exif")
    if exif is None and isinstance(profile, str):
        exif = _from_hexadecimal("".join(profile.split("\n")[3:]))
    return orientation(_as_bytes(exif), _as_bytes(info.get("XML:com.adobe.xmp") or info.get("xmp")))


def _as_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="replace")
    return value if isinstance(value, bytes) else b""


def _from_hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _in_exif(block: bytes) -> int | None:
    """The value of the orientation entry in the first directory, whatever it is, or None."""
    block = block.removeprefix(_HEAD).removeprefix(_HEAD)  # some write it twice
    order = _ORDERS.get(block[:4])
    if order is None:
        return None
    directory = int.from_bytes(block[4:8], order)
    start = directory + 2
    count = int.from_bytes(block[directory:start], order)
    for offset in range(start, min(start + _ENTRY_BYTES * count, len(block)), _ENTRY_BYTES):
        if int.from_bytes(block[offset : offset + 2], order) == ORIENTATION:
            return _single(block[offset : offset + _ENTRY_BYTES], order)
    return None


def _single(entry: bytes, order: _Order) -> int | None:
    """The value of an entry that holds a single integer, or None."""
    length = _INTEGER_BYTES.get(int.from_bytes(entry[2:4], order))
    num_values = int.from_bytes(entry[4:8], order)
    if length is None or num_values != 1 or len(entry) < 8 + length:
        return None
    return int.from_bytes(entry[8 : 8 + length], order)


def _in_xmp(packet: bytes) -> int | None:
    """The orientation that a packet gives as an attribute or else as an element, or None.

    No XML is parsed, so that nothing expands and what is not well-formed does not matter. A namespace holds
    for all of the packet; `tiff` needs none. Source: ISO 16684-1; Namespaces in XML 1.0, 6.2: an attribute
    without a prefix is in no namespace.
    """
    prefixes = {b"tiff", *(found[1] for found in _NAMESPACE.finditer(packet))}
    for found in _ATTRIBUTE.finditer(packet):
        if found[1] in prefixes:
            return int(found[3])
    return next((int(found[2]) for found in _ELEMENT.finditer(packet) if found[1] in prefixes), None)
