"""Which way up an image is, from its EXIF block or its XMP packet, and nothing else of what these may hold.

Pillow would read every entry of both, of which there may be tens of thousands. Source: TIFF 6.0, section 2;
EXIF 2.32, 4.6.4.
"""

import re
import struct
from collections.abc import Mapping
from typing import Any

ORIENTATION = 0x0112
"""Tag of the entry."""

UPRIGHT = 1
"""Of the values 1 to 8, the one that asks for nothing."""

_HEAD = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_INTEGERS = {3: "H", 4: "I"}
"""EXIF allows SHORT only; some write LONG, and Pillow reads it."""
_IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def orientation(exif: bytes, xmp: bytes) -> int:
    """1 to 8. EXIF comes first; what is damaged says nothing about the pixels, and viewers ignore it too."""
    value = _in_exif(exif)
    if value is None and (found := _IN_XMP.search(xmp)):
        value = int(found[1])
    return value if value is not None and 1 <= value <= 8 else UPRIGHT


def orientation_in(info: Mapping[Any, Any]) -> int:
    """The same from what Pillow keeps of a file. ImageMagick writes EXIF into a PNG's texts, as hexadecimal
    below three lines.
    """
    exif, xmp = info.get("exif"), info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
    if exif is None and "Raw profile type exif" in info:
        exif = _from_hexadecimal("".join(info["Raw profile type exif"].split("\n")[3:]))
    return orientation(exif or b"", xmp.encode() if isinstance(xmp, str) else xmp)


def _from_hexadecimal(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _in_exif(block: bytes) -> int | None:
    """The value of the first directory's entry, whatever it is, or none."""
    block = block.removeprefix(_HEAD).removeprefix(_HEAD)  # some write it twice
    order = _ORDERS.get(block[:4])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, directory)
        for place in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(order + "HHI", block, place)
            if tag == ORIENTATION:
                return _single(order, kind, values, block, place + 8)
    except struct.error:
        pass
    return None


def _single(order: str, kind: int, values: int, block: bytes, place: int) -> int | None:
    if kind not in _INTEGERS or values != 1:
        return None
    value: int = struct.unpack_from(order + _INTEGERS[kind], block, place)[0]
    return value
