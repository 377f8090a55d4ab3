"""The file of a batch's requests: checked as a whole, and never in memory as a whole."""

from array import array
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from phiserve.cli.batch.output import ID_BYTES, digest_of
from phiserve.cli.failures import reason_of
from phiserve.errors import StartupError, shortened
from phiserve.protocol.batches.lines import BatchError, BatchLine, LineRefused, read_line

MAX_LINE_BYTES = 256 * 2**20
"""Maximum size of a line. A server may allow less, and says so."""

MAX_TOLD = 20
"""So many wrong lines are told of; the others are counted."""

Check = Callable[[BatchLine], None]
"""Raises LineRefused for a line that would be answered with an error anyhow."""


@dataclass(frozen=True, slots=True)
class InputLine:
    """A line as it stands in the file, and as it was read."""

    text: bytes
    read: BatchLine


@dataclass(slots=True)
class _Checked:
    """What has been seen of the file so far. `ids`: a custom_id's digest -> its line's number."""

    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    lengths: "array[int]" = field(default_factory=lambda: array("Q"))
    numbers: "array[int]" = field(default_factory=lambda: array("Q"))
    digests: bytearray = field(default_factory=bytearray)
    groups: list[str] = field(default_factory=list)
    ids: dict[bytes, int] = field(default_factory=dict)

    def add(self, offset: int, text: bytes, line: BatchLine) -> None:
        """Take a line in. Raises LineRefused for a custom_id that an earlier one has."""
        first = self.ids.setdefault(digest_of(line.custom_id.encode()), line.number)
        if first != line.number:
            reason = f"custom_id: line {first} has {shortened(line.custom_id)!r} too"
            raise LineRefused(BatchError("duplicate_custom_id", reason, "custom_id", line.number))
        self.offsets.append(offset)
        self.lengths.append(len(text))
        self.numbers.append(line.number)
        self.digests += digest_of(text)
        self.groups.append(line.group)


class BatchInput:
    """All lines of a file that is read again for each of them: where they are, and what stands for them.

    `known`: the digests of all lines.
    """

    def __init__(self, path: Path, file: BinaryIO, checked: _Checked) -> None:
        self._path = path
        self._file = file
        self._checked = checked
        self._order = sorted(range(len(checked.groups)), key=checked.groups.__getitem__)
        checked.groups.clear()
        checked.ids.clear()
        self.known = frozenset(self._digest(place) for place in self._order)

    @classmethod
    def checked(cls, path: Path, check: Check, tell: Callable[[str], None]) -> "BatchInput":
        """Check every line of a file; blank ones are none. `tell` is told what is wrong with which.

        Raises StartupError where any is wrong, or there is none.
        """
        checked, wrong = _Checked(), 0
        with ExitStack() as opened:
            file = opened.enter_context(_opened(path))
            for number, offset, text in _lines(file):
                try:
                    line = read_line(text, number)
                    checked.add(offset, text, line)
                    check(line)
                except LineRefused as error:
                    wrong += 1
                    if wrong <= MAX_TOLD:
                        tell(f"{path}, line {number}: {error}")
            if wrong:
                unsaid = f" ({wrong - MAX_TOLD} more than are told)" if wrong > MAX_TOLD else ""
                raise StartupError(f"{path}: lines that are wrong: {wrong}{unsaid}; nothing was asked")
            if not checked.numbers:
                raise StartupError(f"{path} has no lines")
            opened.pop_all()  # to be closed by `close`
        return cls(path, file, checked)

    def __len__(self) -> int:
        return len(self._order)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def pending(self, done: Container[bytes]) -> Iterator[int]:
        """Places of the lines whose digests are not `done`.

        Those that share images or their beginning are next to each other.
        """
        return (place for place in self._order if self._digest(place) not in done)

    def size_of(self, place: int) -> int:
        """Bytes of a line."""
        return self._checked.lengths[place]

    def line(self, place: int) -> InputLine:
        """Read a line again. Raises StartupError where the file has changed."""
        self._file.seek(self._checked.offsets[place])
        text = self._file.read(self._checked.lengths[place])
        if digest_of(text) != self._digest(place):
            raise StartupError(f"{self._path} has changed meanwhile")
        return InputLine(text, read_line(text, self._checked.numbers[place]))

    def _digest(self, place: int) -> bytes:
        return bytes(self._checked.digests[place * ID_BYTES : (place + 1) * ID_BYTES])


def check_model(line: BatchLine, names: Collection[str]) -> None:
    """Raises LineRefused for a line that asks for another model than those of these names."""
    if line.model is not None and line.model not in names:
        served = " or ".join(map(repr, names))
        reason = f"body.model: {shortened(line.model)!r} is not served here, but {served}"
        raise LineRefused(BatchError("model_not_found", reason, "body.model", line.number))


def _opened(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise StartupError(f"{path} is not a file")
    try:
        return path.open("rb")
    except OSError as error:
        raise StartupError(f"{path} cannot be read: {reason_of(error)}") from None


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and text of every line that is not blank. Raises StartupError for too long a one."""
    number = offset = 0
    while text := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(text) == MAX_LINE_BYTES:
            raise StartupError(f"Line {number} has more than {MAX_LINE_BYTES // 2**20} MiB")
        if text.strip():
            yield number, offset, text
        offset += len(text)
