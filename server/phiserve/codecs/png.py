"""PNG: a file is reduced to the chunks that its first image depends on, and checked to be whole.

Pillow leaves checksums of pixels unread, works through any number of chunks in Python, and takes a stream
that ends early for the whole image. An animation becomes its default image. Source: W3C, Portable Network
Graphics (Third Edition), 5, 7.2, 8.1 and 11.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from PIL import Image

from phiserve.codecs.damage import DAMAGED, library_failures
from phiserve.codecs.parsed import ParsedImage
from phiserve.codecs.pillow import open_image, parse_by_pillow
from phiserve.errors import InvalidImage

MAX_CHUNKS = 100_000
"""Maximum number of chunks. An encoder that writes one for each row needs some ten thousand; millions only
cost time."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_EXIF_AND_XMP = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""Keywords of text chunks that may hold the orientation; the first is ImageMagick's."""
_MAX_METADATA_BYTES = 2**16
"""Maximum length of a chunk of metadata: as much as JPEG can hold in one segment."""
_GREY, _RGB = 0, 2
_CHANNELS = {_GREY: 1, _RGB: 3, 3: 1, 4: 2, 6: 4}
"""Number of channels by colour type."""

_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced image: first column, first row, step between columns, step between rows."""
_ONE_PASS = ((0, 0, 1, 1),)
_INFLATED_INPUT_BYTES = 2**14
_MAX_INFLATED_BYTES = 2**18
_SENTINEL = 91
"""Non-zero value of the last pixel before decoding."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A chunk as views of the file: `whole` with its length, kind and checksum, `body` its content alone."""

    kind: bytes
    whole: memoryview
    body: memoryview

    @property
    def is_critical(self) -> bool:
        return not self.kind[0] & 0x20

    def is_intact(self) -> bool:
        """Whether the checksum is right, which takes time by the chunk's length."""
        return zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:])


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What the chunk IHDR says about an image's rows. `depth`: bits per sample."""

    size: tuple[int, int]
    depth: int
    colour_type: int
    is_interlaced: bool

    @classmethod
    def read(cls, body: memoryview) -> "PngHeader":
        """Read the content of an IHDR.

        Raises InvalidImage if it is too short or the colour type is unknown.
        """
        if len(body) < 13 or body[9] not in _CHANNELS:
            raise InvalidImage(DAMAGED)
        size = int.from_bytes(body[:4]), int.from_bytes(body[4:8])
        return cls(size, body[8], body[9], is_interlaced=body[12] != 0)

    @property
    def num_bytes(self) -> int:
        """Bytes of all rows when inflated, each with the byte of its filter."""
        width, height = self.size
        bits = _CHANNELS[self.colour_type] * self.depth
        total = 0
        for left, top, across, down in _PASSES if self.is_interlaced else _ONE_PASS:
            columns, rows = -(-(width - left) // across), -(-(height - top) // down)
            total += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
        return total

    @property
    def last_pixel(self) -> tuple[int, int]:
        """(column, row) of the pixel that is decoded last."""
        width, height = self.size
        if self.is_interlaced and height > 1:
            return width - 1, (height & ~1) - 1
        if self.is_interlaced and width > 1:
            return (width & ~1) - 1, 0
        return width - 1, height - 1


@dataclass(frozen=True, slots=True)
class PngParts:
    """The parts of a file that its first image depends on.

    `file`: a file of nothing else. `header`: what its IHDR says. `data`: the contents of all data chunks,
    views of the original file.
    """

    file: bytes
    header: PngHeader
    data: Sequence[memoryview]


def recognises(content: bytes) -> bool:
    """Whether a file begins as a PNG."""
    return content.startswith(_SIGNATURE)


def parse(content: bytes) -> ParsedImage:
    """Take a PNG apart. Raises InvalidImage."""
    parts = take_apart(content)
    load = partial(_load_rows, header=parts.header, data=parts.data)
    return parse_by_pillow(partial(open_image, parts.file, "PNG"), load)


def take_apart(content: bytes) -> PngParts:
    """The parts of a file that its pixels and orientation depend on.

    Raises InvalidImage for a wrong checksum, a missing end, chunks out of order or unknown critical ones.
    """
    header: PngHeader | None = None
    metadata: list[memoryview] = []
    kept: list[bytes | memoryview] = []
    data: list[memoryview] = []
    for chunk in _chunks(content):
        if (chunk.kind == b"IHDR") != (header is None):
            raise InvalidImage(DAMAGED)
        if chunk.is_critical or chunk.kind == b"tRNS":
            if not chunk.is_intact() or (chunk.is_critical and chunk.kind not in _CRITICAL):
                raise InvalidImage(DAMAGED)
            header = header or PngHeader.read(chunk.body)
            kept.append(_as_pillow_compares(chunk, header) if chunk.kind == b"tRNS" else chunk.whole)
            if chunk.kind == b"IDAT":
                data.append(chunk.body)
        elif _may_turn(chunk) and chunk.is_intact():
            metadata.append(chunk.whole)
    if header is None:
        raise InvalidImage(DAMAGED)
    file = b"".join((_SIGNATURE, *kept[:1], *metadata, *kept[1:]))
    return PngParts(content if file == content else file, header, data)


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """Every chunk up to IEND. Raises InvalidImage if that is missing or MAX_CHUNKS chunks come before it."""
    view = memoryview(content)
    start = len(_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        end = start + 12 + int.from_bytes(view[start : start + 4])
        if end > len(view):
            raise InvalidImage(DAMAGED)
        chunk = _Chunk(bytes(view[start + 4 : start + 8]), view[start:end], view[start + 8 : end - 4])
        yield chunk
        if chunk.kind == b"IEND":
            return
        start = end
    raise InvalidImage(f"the image has more than {MAX_CHUNKS} PNG chunks")


def _may_turn(chunk: _Chunk) -> bool:
    """Whether a chunk may hold the orientation."""
    if len(chunk.body) > _MAX_METADATA_BYTES:
        return False
    is_text = chunk.kind in (b"tEXt", b"zTXt", b"iTXt")
    return chunk.kind == b"eXIf" or (is_text and bytes(chunk.body[:24]).startswith(_EXIF_AND_XMP))


def _as_pillow_compares(chunk: _Chunk, header: PngHeader) -> bytes | memoryview:
    """The transparent colour's chunk, in the depth that Pillow decodes to.

    Pillow compares pixels with the colour as it stands in the file. RGB of 16 bits is decoded to its upper
    bytes, so that colours which differ in the lower ones only become transparent too.
    """
    body: bytes
    if header.colour_type == _GREY and header.depth in (2, 4) and len(chunk.body) == 2:
        body = bytes((0, chunk.body[1] * 255 // (2**header.depth - 1) & 0xFF))
    elif header.colour_type == _RGB and header.depth == 16 and len(chunk.body) == 6:
        body = b"".join(bytes((0, chunk.body[offset])) for offset in (0, 2, 4))
    else:
        return chunk.whole
    named = chunk.kind + body
    return struct.pack(">I", len(body)) + named + struct.pack(">I", zlib.crc32(named))


def _load_rows(image: Image.Image, header: PngHeader, data: Iterable[memoryview]) -> None:
    """Decode an opened PNG in place. Raises InvalidImage if rows are missing.

    The pixel that comes last is set to a sentinel beforehand. Only if the sentinel is still there, or a pixel
    just like it has come, is the data inflated once more and its length checked.
    """
    with library_failures():
        canvas = Image.new(image.mode, image.size, None)
        canvas.putpixel(header.last_pixel, _SENTINEL)
        sentinel = canvas.getpixel(header.last_pixel)
        image.im = canvas.im
        image.load()
        may_lack_rows = image.getpixel(header.last_pixel) == sentinel
    if may_lack_rows and _inflated_bytes(data) < header.num_bytes:
        raise InvalidImage(DAMAGED)


def _inflated_bytes(data: Iterable[memoryview]) -> int:
    """Length of the stream that the contents of all data chunks inflate to.

    Raises InvalidImage if they can't be inflated.
    """
    stream = zlib.decompressobj()
    count = 0
    for body in data:
        for start in range(0, len(body), _INFLATED_INPUT_BYTES):
            deflated: bytes | memoryview = body[start : start + _INFLATED_INPUT_BYTES]
            while deflated:
                try:
                    count += len(stream.decompress(deflated, _MAX_INFLATED_BYTES))
                except zlib.error:
                    raise InvalidImage(DAMAGED) from None
                deflated = stream.unconsumed_tail
    return count
