"""JPEG: where the coded data of an image ends, and whether what follows it is foreign to the image.

Some scanners and webcams leave bytes between the last row and the end mark. libjpeg only counts what is left
over, which damage leaves over as well: a byte that has changed makes the rest of the scan longer or shorter,
and rows are then missing or shifted. So the codes are followed here to the end of the image and beyond.
Bytes that go on as a scan would, to its proper end, are rows that have lost their places. Bytes that don't,
and stand behind an end as encoders write it, are no part of the image.

Only images of one sequential scan are looked at. Source: ITU-T T.81, A.2, B.2.4, C.2, F.1.2.3 and F.2.2.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from phiserve.codecs.jpeg_coverage import PROGRESSIVE, is_head_of_scan

MAX_CODES = 2**26
"""Most codes that are followed: encoders write at least four bits each in all but flat areas. Tables may be
made up of which each takes one, and a scan would be followed for seconds."""

MAX_EXTRA_BYTES = 256
"""Most bytes behind an image that are taken for foreign. More of them are what has overwritten the end of an
image, of which a part was then read as its rows."""

_HUFFMAN, _RESTART_INTERVAL = 0xC4, 0xDD
_CODES = 2**16
"""Values of the 16 bits that the longest code takes."""
_END_OF_BLOCK = 64
_LAST_OF_RUN = 15
_BLOCK_SIDE = 8

_RESTARTS = tuple(bytes((0xFF, 0xD0 + number)) for number in range(8))
_MARKER = re.compile(rb"\xff[^\0]")

_Table = NDArray[np.int32]
"""What each value of the next 16 bits begins with: `step << 8 | bits`, or 0 where there is no such code.

`bits`: length of the code and of the value behind it. `step`: by how many coefficients it brings a block on.
"""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the data of a scan is made up.

    `num_units`: number of its smallest coded units (MCU). `tables`: all that there are, (n, 65536). `blocks`:
    which of them are for the mean and for the other coefficients of each block of a unit, (n, 2). `interval`:
    number of units between restarts, or 0.
    """

    num_units: int
    tables: NDArray[np.int32]
    blocks: NDArray[np.int32]
    interval: int


def without_extra_bytes(frame: bytes, tables: bytes, scan: bytes) -> bytes | None:
    """A scan without foreign bytes behind its data, or None if it has none, or can't be told to.

    `frame`: the segment of the frame. `tables`: all segments before the scan. `scan`: its head and its data,
    without the end mark.
    """
    head = scan[: 2 + int.from_bytes(scan[2:4])]
    layout = _layout(frame, tables, head)
    if layout is None:
        return None
    start, num_units = len(head), layout.num_units
    num_restarts = sum(scan.count(mark, start) for mark in _RESTARTS)
    if num_restarts:  # libjpeg sees to all intervals but the last
        start = max(scan.rfind(mark, start) for mark in _RESTARTS) + 2
        num_units -= layout.interval * num_restarts
    if num_units < 1 or (layout.interval and num_units > layout.interval):
        return None
    marker = _MARKER.search(scan, start)
    data = scan[start : marker.start() if marker else None].replace(b"\xff\0", b"\xff")
    length = _length_of_units(data, num_units, layout)
    return None if length is None else scan[:start] + data[:length].replace(b"\xff", b"\xff\0")


def compile_ahead() -> None:
    """Compile what follows codes, or load it from numba's cache: no image should wait for that."""
    layout = _Layout(0, np.zeros((1, _CODES), np.int32), np.zeros((1, 2), np.int32), 0)
    _follow(b"", 0, 0, layout)


def _length_of_units(data: bytes, num_units: int, layout: _Layout) -> int | None:
    """How many bytes of unescaped data so many units take, or None if the rest is not foreign to them."""
    num_found, end = _follow(data, 0, num_units, layout)
    length = _bytes_of(end)
    if num_found < num_units or not _is_filled_up(data, end):
        return None
    rest = data[length:]
    if not 0 < len(rest) <= MAX_EXTRA_BYTES or data[length - 1] == rest[0]:  # filled up from before its end
        return None
    num_more, end_of_more = _follow(data, end, 8 * len(data), layout)
    if num_more and len(data) == _bytes_of(end_of_more) and _is_filled_up(data, end_of_more):
        return None
    return length


def _bytes_of(num_bits: int) -> int:
    return -(-num_bits // 8)


def _is_filled_up(data: bytes, end: int) -> bool:
    """Whether the bits from `end` to the next whole byte are ones, as encoders must write them."""
    num_free = -end % 8
    free = 2**num_free - 1
    return not num_free or data[end // 8] & free == free


def _follow(data: bytes, start: int, num_units: int, layout: _Layout) -> tuple[int, int]:
    """How many of so many units follow from the bit `start` on, and the bit where they end."""
    # Imported here: see `jpeg_codes`.
    from phiserve.codecs.jpeg_codes import PADDING, follow

    padded = np.frombuffer(data + PADDING, np.uint8)
    return follow(padded, start, num_units, layout.tables, layout.blocks, MAX_CODES)


def _layout(frame: bytes, tables: bytes, head: bytes) -> _Layout | None:
    """The layout of a scan, or None unless it is a sequential one of all components with all its tables."""
    num_components = frame[9]
    if frame[1] == PROGRESSIVE or not is_head_of_scan(head) or head[4] != num_components:
        return None
    found, interval = _huffman_tables(tables), 0
    for kind, body in _segments(tables):
        if kind == _RESTART_INTERVAL:
            interval = int.from_bytes(body[:2])
    factors = [(byte >> 4, byte & 15) for byte in frame[11::3]]
    if num_components == 1:
        factors = [(1, 1)]
    names, blocks = [*found], []
    for (across, down), selectors in zip(factors, head[6::2], strict=False):
        mean, others = selectors >> 4, 0x10 | selectors & 15
        if mean not in found or others not in found:
            return None
        blocks += [(names.index(mean), names.index(others))] * (across * down)
    height, width = int.from_bytes(frame[5:7]), int.from_bytes(frame[7:9])
    columns = -(-width // (_BLOCK_SIDE * max(across for across, _ in factors)))
    rows = -(-height // (_BLOCK_SIDE * max(down for _, down in factors)))
    tables_found = np.stack([found[name] for name in names])
    return _Layout(columns * rows, tables_found, np.array(blocks, np.int32), interval)


def _huffman_tables(tables: bytes) -> dict[int, _Table]:
    """Tables by class and number, as segments hold them: 0 to 3 for mean values, 16 to 19 for others."""
    found: dict[int, tuple[bytes, bytes]] = {}  # a later one takes an earlier one's place
    for kind, body in _segments(tables):
        while kind == _HUFFMAN and len(body) > 17:
            end = 17 + sum(body[1:17])
            if body[0] & ~0x13 == 0:
                found[body[0]] = body[1:17], body[17:end]
            body = body[end:]
    return {
        name: _table(lengths, symbols, is_of_means=name < 16) for name, (lengths, symbols) in found.items()
    }


@lru_cache(maxsize=8)
def _table(lengths: bytes, symbols: bytes, *, is_of_means: bool) -> _Table:
    """A table from the number of codes of each length, 1 to 16 bits, and their symbols.

    Some are kept: most files have the tables that the standard proposes.
    """
    table: list[int] = []
    symbol = iter(symbols)
    for length, count in enumerate(lengths, 1):
        for _ in range(count):
            run, size = divmod(next(symbol, 0), 16)
            step = run + 1
            if is_of_means:
                step = 1
            elif not size and run < _LAST_OF_RUN:
                step = _END_OF_BLOCK
            table += [step << 8 | length + size] * (_CODES >> length)
    return np.array((table + [0] * _CODES)[:_CODES], np.int32)


def _segments(tables: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of segments that follow each other."""
    start = 0
    while start < len(tables):
        end = start + 2 + int.from_bytes(tables[start + 2 : start + 4])
        yield tables[start + 1], tables[start + 4 : end]
        start = end
