"""JPEG: decoded by libjpeg-turbo with its warnings taken as errors, from a file reduced to what its first picture depends on.

Pillow uses the same library, and pixels are equal; but it passes over the warnings (a code that is none, a scan that ends early,
data left over) and shows grey or shifted blocks. It also works through any amount of padding or metadata in Python.
Source: ITU-T T.81, annex B.
"""

import io
import re
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image

from phiserve.vision.unreadable import DAMAGED, Unreadable

MAX_SEGMENTS = 4096
"""20 MiB of metadata are 320 segments."""

MAX_SCANS = 64
"""Progressive encoders write ten to twenty. Each costs time by the picture's size, however small it is in the file."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN, _END_OF_PICTURE = 0xDA, 0xD9
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})  # Huffman, arithmetic conditioning, quantisation, restart interval
_COLOUR_SPACE = frozenset({0xE0, 0xEE})  # JFIF, Adobe
_EXIF_AND_XMP, _PROFILE = 0xE1, 0xE2
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
"""A marker; not padding, an escaped byte of a scan, one of its restarts, or another one without content."""

_SAMPLINGS = frozenset((width, height) for width, height in ((1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (1, 4)))
"""Of the first component, where the colours' is 1 x 1: what simplejpeg knows."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """A file in pieces: segments before the first scan, and everything from there to the end of the picture."""

    metadata: bytes
    pixels: bytes
    scans: bytes
    sampling: tuple[tuple[int, int], ...]


def reduced_jpeg(content: bytes) -> bytes:
    """The file up to its first scan, without what is not a picture's. Raises Unreadable."""
    parts = _take_apart(content)
    return b"".join((_START, parts.metadata, parts.pixels, parts.scans[:64]))


def decode_jpeg(content: bytes) -> Image.Image:
    """The picture, L, RGB or CMYK, its profile in `info`. Raises Unreadable, or ValueError where libjpeg warns or fails."""
    parts = _take_apart(content)
    with Image.open(io.BytesIO(reduced_jpeg(content)), formats=("JPEG",)) as header:
        mode, info = header.mode, header.info
    file = b"".join((_START, parts.pixels, parts.scans))
    picture = _decode_strictly(file, mode) if _is_common(parts.sampling) else _decode_leniently(file)
    picture.info["icc_profile"] = info.get("icc_profile")
    return picture


def _decode_strictly(file: bytes, mode: str) -> Image.Image:
    pixels = simplejpeg.decode_jpeg(file, "GRAY" if mode == "L" else mode, strict=True)
    if mode != "CMYK":
        return Image.fromarray(pixels.squeeze(2) if mode == "L" else pixels)
    # Adobe writes ink as what is left of white, and so does everyone since, marked or not
    return Image.fromarray(np.subtract(255, pixels, out=pixels), mode)


def _decode_leniently(file: bytes) -> Image.Image:
    """By Pillow, which knows all samplings."""
    with Image.open(io.BytesIO(file), formats=("JPEG",)) as picture:
        picture.load()
    return picture


def _is_common(sampling: tuple[tuple[int, int], ...]) -> bool:
    """Grey, or colours of 1 x 1 beside a first component of a known sampling, and black like the first."""
    first, colours, black = sampling[:1], sampling[1:3], sampling[3:]
    return len(sampling) == 1 or (
        _SAMPLINGS.issuperset(first) and len(colours) == 2 and set(colours) == {(1, 1)} and black in ((), first)
    )


def _take_apart(content: bytes) -> _Parts:
    metadata: list[bytes] = []
    pixels: list[bytes] = []
    sampling: tuple[tuple[int, int], ...] = ()
    place = len(_START)
    for _ in range(MAX_SEGMENTS):
        kind, start, end = _next_segment(content, place)
        segment = content[start:end]
        if kind == _START_OF_SCAN:
            return _Parts(b"".join(metadata), b"".join(pixels), _scans(content, start), sampling)
        if kind in _FRAMES:
            sampling = tuple((byte >> 4, byte & 15) for byte in segment[11::3])
        if kind in _FRAMES or kind in _TABLES or kind in _COLOUR_SPACE:
            pixels.append(segment)
        elif kind == _EXIF_AND_XMP or (kind == _PROFILE and segment[4:].startswith(b"ICC_PROFILE\0")):
            metadata.append(segment)
        place = end
    raise Unreadable(f"has more than {MAX_SEGMENTS} JPEG segments")


def _next_segment(content: bytes, place: int) -> tuple[int, int, int]:
    """Kind, start and end of the first segment at or behind `place`; whatever stands before it is no segment's."""
    marker = _MARKER.search(content, place)
    if marker is None or marker[1][0] == _END_OF_PICTURE:
        raise Unreadable(DAMAGED)
    length = int.from_bytes(content[marker.end() : marker.end() + 2])
    end = marker.end() + length
    if length < 2 or end > len(content):
        raise Unreadable(DAMAGED)
    return marker[1][0], marker.start(), end


def _scans(content: bytes, start: int) -> bytes:
    """From the first scan to the end of the picture: other pictures, films and padding may follow.

    Where only the mark at the end is missing it is added; libjpeg then tells whether the scan was complete. Not where there are
    several scans: nothing would tell that the last ones are missing.
    """
    scans = 0
    place = start
    for _ in range(MAX_SEGMENTS):
        marker = _MARKER.search(content, place)
        if marker is None:
            return content[start:] + (_END if scans == 1 else b"")
        kind, place = marker[1][0], marker.end()
        if kind == _END_OF_PICTURE:
            return content[start:place]
        scans += kind == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise Unreadable(f"has more than {MAX_SCANS} JPEG scans")
        place += int.from_bytes(content[place : place + 2])
    raise Unreadable(f"has more than {MAX_SEGMENTS} JPEG segments")
