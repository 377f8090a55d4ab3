"""JPEG: a file's segments up to the first scan, and its scans up to the end of the image.

Source: ITU-T T.81, annex B.
"""

import re
from collections.abc import Iterator

from phiserve.codecs.damage import DAMAGED
from phiserve.codecs.jpeg_coverage import PROGRESSIVE, Coverage, is_head_of_scan
from phiserve.errors import InvalidImage

MAX_SEGMENTS = 4096
"""Maximum number of segments; 20 MiB of metadata are 320."""

MAX_SCANS = 64
"""Maximum number of scans; progressive encoders write ten to twenty. Each costs time by the image's size,
however small it is in the file."""

START, END = b"\xff\xd8", b"\xff\xd9"

START_OF_SCAN = 0xDA

_END_OF_IMAGE = 0xD9
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
"""A marker that begins a segment or ends the image: neither padding, nor an escaped byte of a scan, nor a
restart, nor one of the others without content."""

_STEP = 2**19
_WHOLE_SPECTRUM = b"\0\x3f\0"
"""How the head of a scan that is not progressive ends: 64 frequencies, all bits. Some encoders write other
numbers, which decoders don't look at; libjpeg warns."""


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The kind, start and end of each segment; the last one is the head of the first scan.

    Bytes between segments belong to none. Raises InvalidImage.
    """
    offset = len(START)
    for _ in range(MAX_SEGMENTS):
        marker = _next_marker(content, offset)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            raise InvalidImage(DAMAGED)
        length = int.from_bytes(content[marker.end() : marker.end() + 2])
        offset = marker.end() + length
        if length < 2 or offset > len(content):
            raise InvalidImage(DAMAGED)
        yield marker[1][0], marker.start(), offset
        if marker[1][0] == START_OF_SCAN:
            return
    raise InvalidImage(f"the image has more than {MAX_SEGMENTS} JPEG segments")


def whole_scans(content: bytes, start: int, frame: bytes) -> list[bytes | memoryview]:
    """The scans of an image, from the first one's head at `start` to the end of the image.

    They are views of `content`, without what follows the image: other images, films or padding. `frame` is
    the segment of the frame. Raises InvalidImage, also if the scans don't bring all of the image.

    If only the end mark is missing, it is added; libjpeg then tells whether the last scan was complete. A
    progressive image is refused without it, as elsewhere.
    """
    view = memoryview(content)
    coverage = Coverage(frame)
    scans: list[bytes | memoryview] = []
    num_scans = 0
    offset = taken = start
    for _ in range(MAX_SEGMENTS):
        marker = _next_marker(content, offset)
        if marker is None or marker[1][0] == _END_OF_IMAGE:
            if not coverage.is_complete or (marker is None and frame[1] == PROGRESSIVE):
                raise InvalidImage(DAMAGED)
            return [*scans, view[taken : marker.start() if marker else None], END]
        offset = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
        if marker[1][0] == START_OF_SCAN:
            num_scans += 1
            head = content[marker.start() : offset]
            coverage.add(head)
            if frame[1] != PROGRESSIVE and is_head_of_scan(head):
                scans += view[taken : offset - len(_WHOLE_SPECTRUM)], _WHOLE_SPECTRUM
                taken = offset
        if num_scans > MAX_SCANS:
            raise InvalidImage(f"the image has more than {MAX_SCANS} JPEG scans")
    raise InvalidImage(f"the image has more than {MAX_SEGMENTS} JPEG segments")


def _next_marker(content: bytes, offset: int) -> re.Match[bytes] | None:
    """The next marker. It is looked for in steps of milliseconds, between which other threads may run."""
    for start in range(offset, len(content), _STEP):
        if marker := _MARKER.search(content, start, start + _STEP + 1):
            return marker
    return None
