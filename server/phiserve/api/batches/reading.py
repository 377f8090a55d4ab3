"""A batch's input as it is read: line after line, each with its place, never whole in memory."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import islice

AT_ONCE = 64
"""Lines that are found, and validated, on a thread at a time."""

_BLANK = re.compile(rb"\s*")


@dataclass(frozen=True, slots=True)
class RawLine:
    """A line, without what ends it, and where it stands: its number from 1, its first byte.

    `text`: None where it is longer than lines may be; `num_bytes` tells how long it is.
    """

    number: int
    offset: int
    num_bytes: int
    text: bytes | None


class LineSplitter:
    """Lines of a content that comes in parts: `feed` for each, then `flush`. Blank lines only count.

    Each `feed` is iterated to its end before the next begins.
    """

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._number = 1
        self._offset = 0
        self._held = bytearray()
        self._num_bytes = 0
        self._is_blank = True

    def feed(self, part: bytes) -> Iterator[RawLine]:
        """The lines that end within a part, found as they are asked for."""
        start = 0
        while start < len(part):
            if not self._num_bytes:
                start = self._pass_blank(part, start)
            end = part.find(b"\n", start)
            self._add(part[start:] if end < 0 else part[start:end])
            if end < 0:
                return
            yield from self._end()
            self._offset += 1
            start = end + 1

    def flush(self) -> Iterator[RawLine]:
        """The last line, where nothing ends it."""
        return self._end()

    def _pass_blank(self, part: bytes, start: int) -> int:
        """Where the first line that is not blank begins. Blank ones, maybe millions, take no step each."""
        blank = _BLANK.match(part, start)
        begins = start if blank is None else max(start, part.rfind(b"\n", start, blank.end()) + 1)
        self._number += part.count(b"\n", start, begins)
        self._offset += begins - start
        return begins

    def _add(self, piece: bytes) -> None:
        self._num_bytes += len(piece)
        self._is_blank = self._is_blank and (not piece or piece.isspace())
        if self._num_bytes <= self._max_line_bytes:
            self._held += piece
        else:
            self._held.clear()

    def _end(self) -> Iterator[RawLine]:
        """The line that ends here, unless it is blank."""
        if not self._is_blank:
            is_too_long = self._num_bytes > self._max_line_bytes
            text = None if is_too_long else bytes(self._held)
            yield RawLine(self._number, self._offset, self._num_bytes, text)
        self._number += 1
        self._offset += self._num_bytes
        self._num_bytes = 0
        self._is_blank = True
        self._held.clear()


async def lines_of(
    parts: AsyncGenerator[bytes, None], max_line_bytes: int
) -> AsyncGenerator[list[RawLine], None]:
    """The lines of a content, some at a time: `AT_ONCE` at most, of one part and what went before it."""
    splitter = LineSplitter(max_line_bytes)
    async for part in parts:
        lines = splitter.feed(part)
        while some := await asyncio.to_thread(_some, lines):
            yield some
    if last := _some(splitter.flush()):
        yield last


def _some(lines: Iterator[RawLine]) -> list[RawLine]:
    return [*islice(lines, AT_ONCE)]
