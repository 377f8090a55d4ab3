"""PNG: checksums, and a file reduced to the chunks that its first image depends on.

Pillow leaves checksums of pixels unread and works through any number of chunks in Python; what is not needed
it need not see. An animation becomes its default image. Source: W3C, Portable Network Graphics (Third
Edition), 5 and 11.3.1.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from phiserve.codecs.png_rows import load_rows
from phiserve.codecs.unreadable import DAMAGED, Unreadable

MAX_CHUNKS = 100_000
"""An encoder that writes a chunk for each row needs some ten thousand; millions only cost time."""

_SIGNATURE_LENGTH = 8
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_EXIF_AND_XMP = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
"""Keywords of text chunks that may hold the orientation; the first is ImageMagick's."""
_MAX_METADATA_BYTES = 2**16
"""As much as JPEG can hold in one segment."""
_GREY, _RGB = 0, 2


@dataclass(frozen=True, slots=True)
class _Chunk:
    """`whole` is the chunk with length and checksum, `body` what it holds."""

    kind: bytes
    whole: memoryview
    body: memoryview

    @property
    def is_critical(self) -> bool:
        return not self.kind[0] & 0x20

    @property
    def is_intact(self) -> bool:
        return zlib.crc32(self.whole[4:-4]) == int.from_bytes(self.whole[-4:])


def reduced_png(content: bytes) -> bytes:
    """The file without what its pixels and orientation do not depend on. Raises Unreadable: a checksum, the
    end.
    """
    metadata: list[bytes | memoryview] = []
    pieces: list[bytes | memoryview] = [content[:_SIGNATURE_LENGTH]]
    for number, chunk in enumerate(_chunks(content)):
        if (chunk.kind == b"IHDR") != (number == 0):
            raise Unreadable(DAMAGED)
        if chunk.is_critical or chunk.kind == b"tRNS":
            if not chunk.is_intact or (chunk.is_critical and chunk.kind not in _CRITICAL):
                raise Unreadable(DAMAGED)
            pieces.append(_as_pillow_compares(chunk, content) if chunk.kind == b"tRNS" else chunk.whole)
        elif _may_turn(chunk) and chunk.is_intact:
            metadata.append(chunk.whole)
    return b"".join(pieces[:2] + metadata + pieces[2:])


def load_png(image: Image.Image, content: bytes) -> None:
    """Decode an opened PNG, whose file is `content`. Raises Unreadable where rows are missing."""
    load_rows(image, content[16:29], (chunk.body for chunk in _chunks(content) if chunk.kind == b"IDAT"))


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """Every chunk up to the end. Raises Unreadable where the end is missing, or far away."""
    view = memoryview(content)
    start = _SIGNATURE_LENGTH
    for _ in range(MAX_CHUNKS):
        end = start + 12 + int.from_bytes(view[start : start + 4])
        if end > len(view):
            raise Unreadable(DAMAGED)
        chunk = _Chunk(bytes(view[start + 4 : start + 8]), view[start:end], view[start + 8 : end - 4])
        yield chunk
        if chunk.kind == b"IEND":
            return
        start = end
    raise Unreadable(f"has more than {MAX_CHUNKS} PNG chunks")


def _may_turn(chunk: _Chunk) -> bool:
    if len(chunk.body) > _MAX_METADATA_BYTES:
        return False
    is_text = chunk.kind in (b"tEXt", b"zTXt", b"iTXt")
    return chunk.kind == b"eXIf" or (is_text and bytes(chunk.body[:24]).startswith(_EXIF_AND_XMP))


def _as_pillow_compares(chunk: _Chunk, content: bytes) -> bytes:
    """The transparent colour in the depth that Pillow decodes to: it compares it as it stands in the file.

    RGB of 16 bits is decoded to its upper bytes, so that colours which differ in the lower ones only become
    transparent too.
    """
    depth, colour_type = content[24], content[25]
    body: bytes
    if colour_type == _GREY and depth in (2, 4) and len(chunk.body) == 2:
        body = bytes((0, chunk.body[1] * 255 // (2**depth - 1) & 0xFF))
    elif colour_type == _RGB and depth == 16 and len(chunk.body) == 6:
        body = b"".join(bytes((0, chunk.body[place])) for place in (0, 2, 4))
    else:
        return bytes(chunk.whole)
    named = chunk.kind + body
    return struct.pack(">I", len(body)) + named + struct.pack(">I", zlib.crc32(named))
