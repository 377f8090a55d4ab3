"""A batch's input as it is read: line after line, each with its place, never whole in memory."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass


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
    """Lines of a content that comes in parts: `feed` for each, then `flush`. Blank lines only count."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max_line_bytes = max_line_bytes
        self._number = 1
        self._offset = 0
        self._held = bytearray()
        self._num_bytes = 0

    def feed(self, part: bytes) -> list[RawLine]:
        """The lines that end within a part."""
        lines: list[RawLine] = []
        start = 0
        while (end := part.find(b"\n", start)) >= 0:
            self._add(part[start:end])
            lines += self._end()
            self._offset += 1
            start = end + 1
        self._add(part[start:])
        return lines

    def flush(self) -> list[RawLine]:
        """The last line, where nothing ends it."""
        return self._end()

    def _add(self, piece: bytes) -> None:
        self._num_bytes += len(piece)
        if self._num_bytes <= self._max_line_bytes:
            self._held += piece
        else:
            self._held.clear()

    def _end(self) -> list[RawLine]:
        """The line that ends here, unless it is blank."""
        is_too_long = self._num_bytes > self._max_line_bytes
        text = None if is_too_long else bytes(self._held)
        line = RawLine(self._number, self._offset, self._num_bytes, text)
        self._number += 1
        self._offset += self._num_bytes
        self._num_bytes = 0
        self._held.clear()
        return [] if text is not None and not text.strip() else [line]


async def lines_of(
    parts: AsyncGenerator[bytes, None], max_line_bytes: int
) -> AsyncGenerator[list[RawLine], None]:
    """The lines of a content, some at a time."""
    splitter = LineSplitter(max_line_bytes)
    async for part in parts:
        if lines := splitter.feed(part):
            yield lines
    if lines := splitter.flush():
        yield lines
