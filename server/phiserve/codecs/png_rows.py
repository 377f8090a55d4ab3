"""PNG: whether all rows have come. Pillow takes a stream that ends early, checksums and all, for the whole
image.

Source: W3C, Portable Network Graphics (Third Edition), 7.2, 8.1 and 11.2.1.
"""

import zlib
from collections.abc import Iterable

from PIL import Image

from phiserve.codecs.unreadable import DAMAGED, Unreadable

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced image: first column and row, steps to the next."""
_AT_ONCE = ((0, 0, 1, 1),)
_PIECE_BYTES = 2**14
_MOST_INFLATED_BYTES = 2**18
_MARK = 91
"""Any but nought."""


def load_rows(image: Image.Image, header: bytes, data: Iterable[memoryview]) -> None:
    """Decode an opened PNG of a given IHDR and IDAT contents. Raises Unreadable where rows are missing.

    The pixel that comes last is marked beforehand; only where the mark is still there, or a pixel just like
    it has come, the data is inflated once more and counted.
    """
    canvas = Image.new(image.mode, image.size, None)
    last = _last_pixel(image.size, is_interlaced=header[12] == 1)
    canvas.putpixel(last, _MARK)
    mark = canvas.getpixel(last)
    image.im = canvas.im
    image.load()
    if image.getpixel(last) == mark and _inflated_bytes(data) < _needed_bytes(header):
        raise Unreadable(DAMAGED)


def _last_pixel(size: tuple[int, int], *, is_interlaced: bool) -> tuple[int, int]:
    width, height = size
    if is_interlaced and height > 1:
        return width - 1, (height & ~1) - 1
    if is_interlaced and width > 1:
        return (width & ~1) - 1, 0
    return width - 1, height - 1


def _needed_bytes(header: bytes) -> int:
    """Of all rows, each with its filter's byte."""
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits = _CHANNELS[header[9]] * header[8]
    total = 0
    for left, top, across, down in _PASSES if header[12] == 1 else _AT_ONCE:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        total += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
    return total


def _inflated_bytes(data: Iterable[memoryview]) -> int:
    stream = zlib.decompressobj()
    count = 0
    for body in data:
        for start in range(0, len(body), _PIECE_BYTES):
            piece: bytes | memoryview = body[start : start + _PIECE_BYTES]
            while piece:
                count += len(stream.decompress(piece, _MOST_INFLATED_BYTES))
                piece = stream.unconsumed_tail
    return count
