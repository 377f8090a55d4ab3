"""Lines of an input that comes in parts: each with its number and place, however the parts are cut."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import pytest

from phiserve.api.batches import reading
from phiserve.api.batches.reading import LineSplitter, RawLine, lines_of

CONTENT = b'{"a": 1}\n\n  \r\n{"b":\t2}\r\nlast'


def read(content: bytes, size: int, max_line_bytes: int = 100) -> list[RawLine]:
    """All lines of a content that comes in parts of a size."""

    async def parts() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    async def run() -> list[RawLine]:
        return [line async for group in lines_of(parts(), max_line_bytes) for line in group]

    return asyncio.run(run())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_numbers_and_places(size: int) -> None:
    """Blank lines count, and are left out; the last line needs no end."""
    lines = read(CONTENT, size)
    assert [(line.number, line.text) for line in lines] == [
        (1, b'{"a": 1}'),
        (4, b'{"b":\t2}\r'),
        (5, b"last"),
    ]
    for line in lines:
        assert CONTENT[line.offset : line.offset + line.num_bytes] == line.text


@pytest.mark.parametrize("content", [b"", b"\n", b"\n \n\t"])
def test_nothing(content: bytes) -> None:
    """A file of blank lines has none."""
    assert read(content, 1) == []


@pytest.mark.parametrize("size", [1, 4, 100])
def test_lines_that_are_too_long(size: int) -> None:
    """They are passed over, and known by their length; what comes after them stands where it stands."""
    content = b"x" * 10 + b"\n" + b"y" * 11 + b"\nz"
    lengths: Sequence[tuple[int, int, bytes | None]] = [
        (line.number, line.num_bytes, line.text) for line in read(content, size, 10)
    ]
    assert lengths == [(1, 10, b"x" * 10), (2, 11, None), (3, 1, b"z")]
    assert [line.offset for line in read(content, size, 10)] == [0, 11, 23]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_blank_lines_of_any_length(size: int) -> None:
    """They only count, however the parts are cut."""
    lines = read(b" " * 11 + b"\n" + b"\t\n" * 20 + b"  z", size, 10)
    assert [(line.number, line.offset, line.text) for line in lines] == [(22, 52, b"  z")]


def test_many_blank_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are passed over without a step for each: nothing is made of them, or looked at one by one."""
    ends: list[None] = []
    end = LineSplitter._end

    def counted(splitter: LineSplitter) -> Iterator[RawLine]:
        ends.append(None)
        return end(splitter)

    monkeypatch.setattr(LineSplitter, "_end", counted)
    content = b"{}" + b"\n" * 2**20 + b" \r\n" * 2**20 + b"{}"
    assert [(line.number, line.text) for line in read(content, 2**20)] == [(1, b"{}"), (2**21 + 1, b"{}")]
    assert len(ends) < 10


def test_tiny_lines() -> None:
    """Only some of them are there at once, however many a part has."""

    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"{}\n" * 200

    async def run() -> list[int]:
        return [len(lines) async for lines in lines_of(parts(), 100)]

    assert asyncio.run(run()) == [reading.AT_ONCE] * 3 + [200 - 3 * reading.AT_ONCE]


def test_splitting_leaves_the_loop_to_others() -> None:
    """It is done on a thread."""
    threads: list[threading.Thread] = []

    class Watched(bytes):
        def find(self, *arguments: Any) -> int:
            threads.append(threading.current_thread())
            return super().find(*arguments)

    async def parts() -> AsyncGenerator[bytes, None]:
        yield Watched(CONTENT)

    async def run() -> int:
        return sum([len(lines) async for lines in lines_of(parts(), 100)])

    assert asyncio.run(run()) == 3
    assert threads
    assert threading.main_thread() not in threads
