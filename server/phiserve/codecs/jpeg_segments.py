"""JPEG: its segments up to the first scan, and its scans up to the end of the image. Source: ITU-T T.81,
annex B.
"""

import re
from collections.abc import Iterator

from phiserve.codecs.unreadable import DAMAGED, Unreadable

MAX_SEGMENTS = 4096
"""20 MiB of metadata are 320 segments."""

MAX_SCANS = 64
"""Progressive encoders write ten to twenty. Each costs time by the image's size, however small it is in the
file."""

MAX_ARITHMETIC_SCANS = 18
"""Arithmetic coding costs five times as much; libjpeg's own encoder writes ten, and eighteen for four
inks."""

START, END = b"\xff\xd8", b"\xff\xd9"
PROGRESSIVE, ARITHMETIC = (0xC2, 0xCA), (0xC9, 0xCA)
"""Kinds of frames."""

START_OF_SCAN = 0xDA

_END_OF_IMAGE = 0xD9
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
"""A marker; not padding, an escaped byte of a scan, one of its restarts, or another one without content."""

_STEP = 2**19
_WHOLE_SPECTRUM = b"\0\x3f\0"
"""How the head of a scan ends that is not progressive: 64 frequencies, all bits. Some encoders write other
numbers, and decoders don't look at them; libjpeg warns."""


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, start and end of each segment, the head of the first scan being the last; what stands between
    them is no segment's.

    Raises Unreadable.
    """
    place = len(START)
    for _ in range(MAX_SEGMENTS):
        marker = _next_marker(content, place)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            raise Unreadable(DAMAGED)
        length = int.from_bytes(content[marker.end() : marker.end() + 2])
        place = marker.end() + length
        if length < 2 or place > len(content):
            raise Unreadable(DAMAGED)
        yield marker[1][0], marker.start(), place
        if marker[1][0] == START_OF_SCAN:
            return
    raise Unreadable(f"has more than {MAX_SEGMENTS} JPEG segments")


def whole_scans(content: bytes, start: int, frame: int, components: int) -> bytes:
    """From the first scan, whose head is at `start`, to the end of the image: other images, films and padding
    may follow.

    Where only the mark at the end is missing it is added; libjpeg then tells whether the scan was complete.
    Not where there are several scans, or may be: nothing would tell that the last ones are missing.
    """
    most_scans = MAX_ARITHMETIC_SCANS if frame in ARITHMETIC else MAX_SCANS
    pieces: list[bytes] = []
    scans = 0
    place = taken = start
    for _ in range(MAX_SEGMENTS):
        marker = _next_marker(content, place)
        if marker is None:
            is_whole = frame not in PROGRESSIVE and scans == 1 and content[start + 4] == components
            return b"".join((*pieces, content[taken:], END if is_whole else b""))
        kind, place = marker[1][0], marker.end()
        if kind == _END_OF_IMAGE:
            return b"".join((*pieces, content[taken:place]))
        length = int.from_bytes(content[place : place + 2])
        place += length
        if kind == START_OF_SCAN:
            scans += 1
            if frame not in PROGRESSIVE and _is_head_of_scan(content[place - length : place], length):
                pieces += content[taken : place - len(_WHOLE_SPECTRUM)], _WHOLE_SPECTRUM
                taken = place
        if scans > most_scans:
            raise Unreadable(f"has more than {most_scans} JPEG scans")
    raise Unreadable(f"has more than {MAX_SEGMENTS} JPEG segments")


def _is_head_of_scan(segment: bytes, length: int) -> bool:
    return len(segment) == length >= 6 and length == 6 + 2 * segment[2]


def _next_marker(content: bytes, place: int) -> re.Match[bytes] | None:
    """Looked for in steps of milliseconds, between which other threads may run."""
    for start in range(place, len(content), _STEP):
        if marker := _MARKER.search(content, start, start + _STEP + 1):
            return marker
    return None
