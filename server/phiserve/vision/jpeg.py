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

MAX_ARITHMETIC_SCANS = 18
"""Arithmetic coding costs five times as much; libjpeg's own encoder writes ten, and eighteen for four inks."""

_START, _END = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN, _END_OF_PICTURE = 0xDA, 0xD9
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
_PROGRESSIVE, _ARITHMETIC = (b"\xc2", b"\xca"), (b"\xc9", b"\xca")
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})  # lossless, hierarchical
_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})  # Huffman, arithmetic conditioning, quantisation, restart interval
_COLOUR_SPACE = frozenset({0xE0, 0xEE})  # JFIF, Adobe
_EXIF_AND_XMP, _PROFILE = 0xE1, 0xE2
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
"""A marker; not padding, an escaped byte of a scan, one of its restarts, or another one without content."""

_STEP = 2**19

_SAMPLINGS = frozenset((width, height) for width, height in ((1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (1, 4)))
"""Of the first component, where the colours' is 1 x 1: what simplejpeg knows."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """A file in pieces: segments before the first scan, and everything from there to the end of the picture."""

    metadata: bytes
    pixels: bytes
    scans: bytes
    sampling: tuple[tuple[int, int], ...]

    @property
    def header(self) -> bytes:
        """What tells size, mode, orientation and profile; it ends with the head of the first scan."""
        return b"".join((_START, self.metadata, self.pixels, self.scans[:64]))


def reduced_jpeg(content: bytes) -> bytes:
    """The file up to its first scan, without what is not a picture's. Raises Unreadable."""
    return _take_apart(content).header


def decode_jpeg(content: bytes) -> Image.Image:
    """The picture, L, RGB or CMYK, its profile in `info`. Raises Unreadable, or ValueError where libjpeg warns or fails."""
    parts = _take_apart(content)
    with Image.open(io.BytesIO(parts.header), formats=("JPEG",)) as header:
        mode, info = header.mode, header.info
    decode = _decode_strictly if _is_common(parts.sampling) else _decode_leniently
    picture = decode(b"".join((_START, parts.pixels, parts.scans)), mode)
    picture.info["icc_profile"] = info.get("icc_profile")
    return picture


def _decode_strictly(file: bytes, mode: str) -> Image.Image:
    pixels = simplejpeg.decode_jpeg(file, "GRAY" if mode == "L" else mode, strict=True)
    if mode != "CMYK":
        return Image.fromarray(pixels.squeeze(2) if mode == "L" else pixels)
    # Adobe writes ink as what is left of white, and so does everyone since, marked or not
    return Image.fromarray(np.subtract(255, pixels, out=pixels), mode)


def _decode_leniently(file: bytes, mode: str) -> Image.Image:
    """By Pillow, which knows all samplings, and finds the mode by itself."""
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
    frame = b""
    place = len(_START)
    for _ in range(MAX_SEGMENTS):
        kind, start, end = _next_segment(content, place)
        segment = content[start:end]
        if kind == _START_OF_SCAN:
            return _Parts(b"".join(metadata), b"".join(pixels), _scans(content, start, frame), _sampling(frame))
        if kind in _OTHER_FRAMES or (kind in _FRAMES and segment[4:5] != b"\x08"):
            raise Unreadable("is of a rare kind of JPEG (lossless, hierarchical or not of 8 bits) that is not supported")
        if kind in _FRAMES:
            frame = segment
        if kind in _FRAMES or kind in _TABLES or kind in _COLOUR_SPACE:
            pixels.append(segment)
        elif kind == _EXIF_AND_XMP or (kind == _PROFILE and _is_profile(segment)):
            metadata.append(segment)
        place = end
    raise Unreadable(f"has more than {MAX_SEGMENTS} JPEG segments")


def _sampling(frame: bytes) -> tuple[tuple[int, int], ...]:
    return tuple((byte >> 4, byte & 15) for byte in frame[11::3])


def _is_profile(segment: bytes) -> bool:
    return segment[4:].startswith(b"ICC_PROFILE\0") and len(segment) > 18


def _next_segment(content: bytes, place: int) -> tuple[int, int, int]:
    """Kind, start and end of the first segment at or behind `place`; whatever stands before it is no segment's."""
    marker = _next_marker(content, place)
    if marker is None or marker[1][0] == _END_OF_PICTURE:
        raise Unreadable(DAMAGED)
    length = int.from_bytes(content[marker.end() : marker.end() + 2])
    end = marker.end() + length
    if length < 2 or end > len(content):
        raise Unreadable(DAMAGED)
    return marker[1][0], marker.start(), end


def _next_marker(content: bytes, place: int) -> re.Match[bytes] | None:
    """Looked for in steps of milliseconds, between which other threads may run."""
    for start in range(place, len(content), _STEP):
        if marker := _MARKER.search(content, start, start + _STEP + 1):
            return marker
    return None


def _scans(content: bytes, start: int, frame: bytes) -> bytes:
    """From the first scan to the end of the picture: other pictures, films and padding may follow.

    Where only the mark at the end is missing it is added; libjpeg then tells whether the scan was complete. Not where there are
    several scans, or may be: nothing would tell that the last ones are missing.
    """
    most_scans = MAX_ARITHMETIC_SCANS if frame[1:2] in _ARITHMETIC else MAX_SCANS
    scans = 0
    place = start
    for _ in range(MAX_SEGMENTS):
        marker = _next_marker(content, place)
        if marker is None:
            is_one_scan = frame[1:2] not in _PROGRESSIVE and content[start + 4] == len(_sampling(frame))
            return content[start:] + (_END if is_one_scan else b"")
        kind, place = marker[1][0], marker.end()
        if kind == _END_OF_PICTURE:
            return content[start:place]
        scans += kind == _START_OF_SCAN
        if scans > most_scans:
            raise Unreadable(f"has more than {most_scans} JPEG scans")
        place += int.from_bytes(content[place : place + 2])
    raise Unreadable(f"has more than {MAX_SEGMENTS} JPEG segments")
