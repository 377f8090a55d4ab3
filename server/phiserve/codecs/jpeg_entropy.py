"""JPEG: where the coded data of an image ends, and whether what follows it is foreign to the image.

Some scanners and webcams leave bytes between the last row and the end mark. libjpeg only counts what is left
over, which damage leaves over as well: a byte that has changed makes the rest of the scan longer or shorter,
and rows are then missing or shifted. So the codes are followed here to the end of the image and beyond.
Bytes that go on as a scan would, to its proper end, are rows that have lost their places. Bytes that don't,
and stand behind an end as encoders write it, are no part of the image.

Only images of one sequential scan are looked at. Source: ITU-T T.81, A.2, B.2.4, C.2, F.1.2.3 and F.2.2.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from phiserve.codecs.jpeg_coverage import PROGRESSIVE, is_head_of_scan

MAX_CODED_BYTES = 2**20
"""Longest scan that is followed, which is done in Python and takes up to a second."""

MAX_CODES = 2**21
"""Most codes that are followed: encoders write at least four bits each in all but flat areas. Tables may be
made up of which each takes one, and a scan would be followed for four seconds."""

MAX_EXTRA_BYTES = 256
"""Most bytes behind an image that are taken for foreign. More of them are what has overwritten the end of an
image, of which a part was then read as its rows."""

_HUFFMAN, _RESTART_INTERVAL = 0xC4, 0xDD
_CODES = 2**16
"""Values of the 16 bits that the longest code takes."""
_END_OF_BLOCK = 64
_LAST_OF_RUN = 15
_BLOCK_SIDE = 8
_MOST_BYTES_OF_UNIT = 2600
"""More than the data of ten blocks, the most of a unit, can take: 64 codes and values of 31 bits each."""

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_MARKER = re.compile(rb"\xff[^\0]")

_Table = tuple[int, ...]
"""What each value of the next 16 bits begins with: `step << 8 | bits`, or 0 where there is no such code.

`bits`: length of the code and of the value behind it. `step`: by how many coefficients it brings a block on.
"""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the data of a scan is made up.

    `num_units`: number of its smallest coded units (MCU). `blocks`: the tables for the mean and for the other
    coefficients of each block of a unit. `interval`: number of units between restarts, or 0.
    """

    num_units: int
    blocks: Sequence[tuple[_Table, _Table]]
    interval: int


def without_extra_bytes(frame: bytes, tables: bytes, scan: bytes) -> bytes | None:
    """A scan without foreign bytes behind its data, or None if it has none, or can't be told to.

    `frame`: the segment of the frame. `tables`: all segments before the scan. `scan`: its head and its data,
    without the end mark.
    """
    head = scan[: 2 + int.from_bytes(scan[2:4])]
    layout = _layout(frame, tables, head)
    if layout is None or len(scan) > MAX_CODED_BYTES:
        return None
    start, num_units = len(head), layout.num_units
    restarts = [*_RESTART.finditer(scan, start)]
    if restarts:  # libjpeg sees to all intervals but the last
        start = restarts[-1].end()
        num_units -= layout.interval * len(restarts)
    if num_units < 1 or (layout.interval and num_units > layout.interval):
        return None
    marker = _MARKER.search(scan, start)
    data = scan[start : marker.start() if marker else None].replace(b"\xff\0", b"\xff")
    length = _length_of_units(data, num_units, layout.blocks)
    return None if length is None else scan[:start] + data[:length].replace(b"\xff", b"\xff\0")


def _length_of_units(data: bytes, num_units: int, blocks: Sequence[tuple[_Table, _Table]]) -> int | None:
    """How many bytes of unescaped data so many units take, or None if the rest is not foreign to them."""
    num_found, end = _follow(data, 0, num_units, blocks)
    length = _bytes_of(end)
    if num_found < num_units or not _is_filled_up(data, end):
        return None
    rest = data[length:]
    if not 0 < len(rest) <= MAX_EXTRA_BYTES or data[length - 1] == rest[0]:  # filled up from before its end
        return None
    num_more, end_of_more = _follow(data, end, 8 * len(data), blocks)
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


def _follow(
    data: bytes, start: int, num_units: int, blocks: Sequence[tuple[_Table, _Table]]
) -> tuple[int, int]:
    """Follow the codes of up to `num_units` units from the bit `start` on.

    Returns the number of those that are there, and are no more than `MAX_CODES`, and the bit where they end.
    """
    padded, end = data + bytes(_MOST_BYTES_OF_UNIT), 8 * len(data)
    bit, num_codes = start, 0
    for found in range(num_units):
        for mean, others in blocks:
            count, table = 0, mean
            while count < _END_OF_BLOCK:
                at = bit >> 3
                three = padded[at] << 16 | padded[at + 1] << 8 | padded[at + 2]
                entry = table[three >> 8 - (bit & 7) & 0xFFFF]
                if not entry:
                    return found, start
                bit += entry & 0xFF
                count += entry >> 8
                table = others
                num_codes += 1
        if bit > end or num_codes > MAX_CODES:
            return found, start
        start = bit
    return num_units, start


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
    blocks: list[tuple[_Table, _Table]] = []
    for (across, down), selectors in zip(factors, head[6::2], strict=False):
        mean, others = found.get(selectors >> 4), found.get(0x10 | selectors & 15)
        if mean is None or others is None:
            return None
        blocks += [(mean, others)] * (across * down)
    height, width = int.from_bytes(frame[5:7]), int.from_bytes(frame[7:9])
    columns = -(-width // (_BLOCK_SIDE * max(across for across, _ in factors)))
    rows = -(-height // (_BLOCK_SIDE * max(down for _, down in factors)))
    return _Layout(columns * rows, blocks, interval)


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
    return (*table, *[0] * _CODES)[:_CODES]


def _segments(tables: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of segments that follow each other."""
    start = 0
    while start < len(tables):
        end = start + 2 + int.from_bytes(tables[start + 2 : start + 4])
        yield tables[start + 1], tables[start + 4 : end]
        start = end
