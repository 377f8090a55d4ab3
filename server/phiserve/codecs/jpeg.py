"""JPEG: a file is reduced to what its first image depends on and decoded with warnings as errors.

Pillow uses the same library, libjpeg-turbo, and pixels are equal; but it passes over the warnings (an invalid
code, a scan that ends early, data left over) and shows grey or shifted blocks. Every part is rewritten
canonically, so that the remaining warnings concern pixels.

Source: ITU-T T.81, annex B; JFIF 1.02; Adobe, Technical Note 5116, 18.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from phiserve.codecs.colour import to_pixels
from phiserve.codecs.damage import DAMAGED, library_failures
from phiserve.codecs.jpeg_coverage import PROGRESSIVE
from phiserve.codecs.jpeg_entropy import without_extra_bytes
from phiserve.codecs.jpeg_segments import END, START, START_OF_SCAN, segments, whole_scans
from phiserve.codecs.orientation import orientation
from phiserve.codecs.parsed import ParsedImage, Pixels
from phiserve.errors import InvalidImage

_COLOUR_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}
"""simplejpeg's name of what an image is decoded to, by its number of components."""

_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
"""Lossless, hierarchical and arithmetically coded frames.

Nothing tells that arithmetically coded data was cut: what is left is the whole of another image, whose rows
go on as is most likely. Common browsers refuse such files too.
"""
_TABLES = frozenset({0xC4, 0xDB, 0xDD})
"""Huffman, quantisation, restart interval."""
_APP0, _EXIF_AND_XMP, _PROFILE, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_FRAME_HEAD = 10
"""Bytes of marker, length, bits, height, width and number of components."""

_JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
_ADOBE = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"

_SAMPLINGS = frozenset({(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (1, 4)})
_RARE = (
    "the image is of a rare kind of JPEG (arithmetically coded, lossless, hierarchical, not of 8 bits or "
    "unusually sampled) that is not supported"
)


@dataclass(frozen=True, slots=True)
class JpegParts:
    """The parts of a file that its first image depends on.

    `frame`: the segment that holds size and components. `tables`: that segment and all tables before the
    first scan. `scans`: from there to the end of the image. `orientation`: EXIF's, 1 to 8. `profile`: the ICC
    profile, if it is complete.
    """

    frame: bytes
    tables: bytes
    scans: Sequence[bytes | memoryview]
    orientation: int
    profile: bytes | None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as stored."""
        return int.from_bytes(self.frame[7:9]), int.from_bytes(self.frame[5:7])

    @property
    def num_components(self) -> int:
        """Number of components: 1 for grey, 3 for colours, 4 for inks."""
        return self.frame[9]

    @property
    def file(self) -> bytes:
        """A file of nothing but these parts."""
        return b"".join((START, self.tables, *self.scans))

    @property
    def file_without_padding(self) -> bytes | None:
        """The same file without the zeros with which video cameras fill up the end of a scan.

        None if there are none, or if the image is progressive.
        """
        scan = b"".join(self.scans).removesuffix(END)
        if self.frame[1] == PROGRESSIVE or not scan.endswith(b"\0"):
            return None
        scan = scan.rstrip(b"\0")
        escape = b"\0" if scan.endswith(b"\xff") else b""
        return b"".join((START, self.tables, scan, escape, END))

    @property
    def file_without_extra_bytes(self) -> bytes | None:
        """The same file without bytes behind the scan that are foreign to the image, or None."""
        scan = without_extra_bytes(self.frame, self.tables, b"".join(self.scans).removesuffix(END))
        return None if scan is None else b"".join((START, self.tables, scan, END))


@dataclass(slots=True)
class _Collected:
    """What has been found in the segments before the first scan."""

    tables: list[bytes] = field(default_factory=list)
    frame: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    profile: list[bytes] = field(default_factory=list)
    is_jfif: bool = False
    adobe: int | None = None

    def add(self, kind: int, segment: bytes) -> None:
        """Keep what a segment, marker and length included, says about the image. Raises InvalidImage."""
        body = segment[4:]
        if kind in _OTHER_FRAMES or (kind in _FRAMES and body[:1] != b"\x08"):
            raise InvalidImage(_RARE)
        if kind in _FRAMES:
            self.frame = _checked_frame(segment, self.frame)
        if kind in _FRAMES or kind in _TABLES:
            self.tables.append(segment)
        elif kind == _APP0:
            self.is_jfif |= body.startswith(b"JFIF\0") and len(body) >= 14
        elif kind == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            self.adobe = body[11]
        elif kind == _EXIF_AND_XMP:
            self._add_metadata(body)
        elif kind == _PROFILE and body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
            self.profile.append(body[12:])

    def _add_metadata(self, body: bytes) -> None:
        """Keep the first block of each kind, which is the one that viewers read."""
        if body.startswith(b"Exif\0\0"):
            self.exif = self.exif or body
        elif body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            self.xmp = self.xmp or body

    def with_scans(self, scans: Sequence[bytes | memoryview]) -> JpegParts:
        """All parts of a file, of which `scans` are the scans."""
        tables = b"".join((*self._colour_space(), *self.tables))
        return JpegParts(self.frame, tables, scans, orientation(self.exif, self.xmp), _joined(self.profile))

    def _colour_space(self) -> list[bytes]:
        """JFIF's marker segment and Adobe's, which say how colours are coded.

        It matters whether they are there, and whether Adobe's code is 0. Other versions and codes change
        nothing, and are rewritten alike.
        """
        marks = [_JFIF] if self.is_jfif else []
        if self.adobe == 0:
            marks.append(_ADOBE + b"\0")
        elif self.adobe is not None:
            marks.append(_ADOBE + (b"\2" if self.frame[9] == 4 else b"\1"))
        return marks


def recognises(content: bytes) -> bool:
    """Whether a file begins as a JPEG."""
    return content.startswith(b"\xff\xd8\xff")


def parse(content: bytes) -> ParsedImage:
    """Take a JPEG apart. Raises InvalidImage."""
    parts = take_apart(content)
    return ParsedImage(parts.size, parts.orientation, partial(_decode, parts))


def take_apart(content: bytes) -> JpegParts:
    """The parts of a file, whose scans are views of it. Raises InvalidImage."""
    found = _Collected()
    for kind, start, end in segments(content):
        if kind == START_OF_SCAN and found.frame:
            return found.with_scans(whole_scans(content, start, found.frame))
        found.add(kind, content[start:end])
    raise InvalidImage(DAMAGED)


def decode_components(parts: JpegParts) -> NDArray[np.uint8]:
    """The components of an image as stored, (height, width, 1, 3 or 4): grey, RGB or amounts of ink.

    Raises InvalidImage if libjpeg warns or fails.
    """
    colour_space = _COLOUR_SPACES[parts.num_components]
    try:
        components = _decode_strictly(parts.file, colour_space)
    except InvalidImage:  # damage, or just bytes too many: without them the scan must end with the image
        components = _decode_without_rest(parts, colour_space)
    if parts.num_components == 4:
        # Adobe writes ink as what is left of white, and so does everyone since, marked or not
        np.subtract(255, components, out=components)
    return components


def _decode(parts: JpegParts) -> Pixels:
    """The RGB pixels of an image as stored, (height, width, 3).

    Those of an image in colours are libjpeg's own array, without a copy in Pillow's memory.
    """
    components = decode_components(parts)
    if parts.num_components == 3:
        return components
    if parts.num_components == 1:
        return np.repeat(components, 3, axis=2)
    inks = Image.fromarray(components, "CMYK")
    inks.info["icc_profile"] = parts.profile
    return to_pixels(inks)


def _decode_strictly(file: bytes, colour_space: str) -> NDArray[np.uint8]:
    with library_failures():
        components: NDArray[np.uint8] = simplejpeg.decode_jpeg(file, colour_space, strict=True)
    return components


def _decode_without_rest(parts: JpegParts, colour_space: str) -> NDArray[np.uint8]:
    """Decode an image without what stands between the end of its scan and the end mark.

    Raises InvalidImage.
    """
    if padded := parts.file_without_padding:
        with suppress(InvalidImage):
            return _decode_strictly(padded, colour_space)
    file = parts.file_without_extra_bytes
    if file is None:
        raise InvalidImage(DAMAGED)
    return _decode_strictly(file, colour_space)


def _checked_frame(segment: bytes, earlier: bytes) -> bytes:
    """The only frame of a file, checked to be whole and of a kind that is decoded strictly.

    Its components must be as many as it says, in a common sampling. `earlier` is the frame found before, or
    empty. Raises InvalidImage.
    """
    factors = [(byte >> 4, byte & 15) for byte in segment[_FRAME_HEAD + 1 :: 3]]
    is_whole = len(segment) > _FRAME_HEAD and len(segment) == _FRAME_HEAD + 3 * segment[9]
    if earlier or not is_whole or segment[9] not in _COLOUR_SPACES:
        raise InvalidImage(DAMAGED)
    if any(not 1 <= number <= 4 for pair in factors for number in pair):
        raise InvalidImage(DAMAGED)
    if not _is_common(factors):
        raise InvalidImage(_RARE)
    return segment


def _is_common(sampling: Sequence[tuple[int, int]]) -> bool:
    """Whether TurboJPEG knows a sampling, given the (horizontal, vertical) factors of each component.

    Black must have the factors of the first component. Source: getSubsamp in libjpeg-turbo's turbojpeg.c.
    """
    first, colours, black = sampling[0], sampling[1:3], sampling[3:]
    if len(sampling) == 1:
        return True
    if len(set(colours)) != 1 or any(factors != first for factors in black):
        return False
    colour = colours[0]
    is_usual = first in _SAMPLINGS and colour == (1, 1)
    is_usual_multiplied = (first == (2, 2) and colour in ((1, 2), (2, 1))) or (
        first == colour and first[0] * first[1] <= 3
    )
    return is_usual or is_usual_multiplied


def _joined(chunks: list[bytes]) -> bytes | None:
    """An ICC profile from its numbered chunks (ICC.1:2010, B.4), or None if some are missing."""
    chunks = sorted(chunks)
    return b"".join(chunk[2:] for chunk in chunks) if chunks and chunks[0][1] == len(chunks) else None
