"""The table of answers: rows as they come, which a later run goes on with, in the files' order at the end."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from phiserve.cli.batch.cells import ERROR, FILE, Columns, Row, cell, cells
from phiserve.cli.batch.resumed import ResumedFile
from phiserve.errors import StartupError

SUFFIXES = (".csv", ".tsv", ".jsonl")


@dataclass(frozen=True, slots=True)
class _Record:
    """A row in the file: the image's name as it is written there, whether it failed, and its bytes."""

    name: str
    failed: bool
    start: int
    end: int


class _Form(Protocol):
    """How rows are written."""

    header: bytes

    def written(self, row: Row) -> bytes:
        """A row as bytes."""

    def name_of(self, file: str) -> str:
        """A file's name as it is written in its row."""

    def records(self, file: BinaryIO) -> Iterator[_Record]:
        """All whole rows after the header. Raises ValueError for what is none."""


class Table:
    """A table of one row for each image, in a file whose suffix is one of `SUFFIXES`.

    The last row of an image counts: one that failed is followed by another when it is asked about again.
    Raises StartupError for a file that holds something else.
    """

    def __init__(self, file: ResumedFile, columns: Columns) -> None:
        self._file = file
        self._form = form_of(file.path, columns)
        self._rows: dict[str, _Record] = {}
        self._read()

    def done(self, files: Iterable[str]) -> set[str]:
        """Those of `files` that have been answered about."""
        rows = {file: self._rows.get(self._form.name_of(file)) for file in files}
        return {file for file, row in rows.items() if row is not None and not row.failed}

    def add(self, row: Row) -> None:
        """Write a row. Raises StartupError."""
        start = self._file.size
        self._file.append(self._form.written(row))
        name = self._form.name_of(str(row[FILE]))
        self._rows[name] = _Record(name, row.get(ERROR) is not None, start, self._file.size)

    def settle(self) -> None:
        """Put the rows into the order of their files' names, one for each; none is added afterwards."""
        self._file.replace(self._settled())

    def _settled(self) -> Iterator[bytes]:
        yield self._form.header
        with self._file.reader() as reader:
            for name in sorted(self._rows):
                record = self._rows[name]
                reader.seek(record.start)
                yield reader.read(record.end - record.start)

    def _read(self) -> None:
        header, end = self._form.header, len(self._form.header)
        with self._file.reader() as reader:
            begun = reader.read(end)
            if begun != header:
                if not header.startswith(begun):
                    raise StartupError(
                        f"{self._file.path} has other columns, or is no such table; name another file"
                    )
                self._file.cut(0)
                self._file.append(header)
                return
            try:
                for record in self._form.records(reader):
                    self._rows[record.name] = record
                    end = record.end
            except ValueError as error:
                raise StartupError(f"{self._file.path} is damaged: {error}; name another file") from None
        self._file.cut(end)


def form_of(path: Path, columns: Columns) -> _Form:
    """How a file is written, by its suffix. Raises StartupError."""
    match path.suffix.lower():
        case ".csv":
            return _Delimited(columns, csv.excel)
        case ".tsv":
            return _Delimited(columns, csv.excel_tab)
        case ".jsonl":
            return _Lines(columns)
    raise StartupError(f"{path.name!r} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


class _Lines:
    """A JSON object a line."""

    header = b""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    def written(self, row: Row) -> bytes:
        """A row with every column."""
        values = {name: row.get(name) for name in self._columns.all} | {FILE: self.name_of(str(row[FILE]))}
        return json.dumps(values, ensure_ascii=False).encode() + b"\n"

    def name_of(self, file: str) -> str:
        """The name itself."""
        return _text(file)

    def records(self, file: BinaryIO) -> Iterator[_Record]:
        """All whole lines. Raises ValueError for one that is not as `written` writes it."""
        beginning = f'{{"{FILE}": '.encode()
        for number, (line, start, end) in enumerate(_lines(file), 1):
            if not line.endswith(b"\n") and line[: len(beginning)] == beginning[: len(line)]:
                return
            row = json.loads(line)
            if not isinstance(row, dict) or tuple(row) != self._columns.all:
                raise ValueError(f"line {number} is not a row of these columns")
            yield _Record(row[FILE], row[ERROR] is not None, start, end)


class _Delimited:
    """RFC 4180, with commas or tabs."""

    def __init__(self, columns: Columns, dialect: type[csv.Dialect]) -> None:
        self._columns = columns
        self._dialect = dialect
        self.header = self._line(columns.all)

    def written(self, row: Row) -> bytes:
        """A row as cells."""
        return self._line(cells(row | {FILE: _text(str(row[FILE]))}, self._columns.all))

    def name_of(self, file: str) -> str:
        """The name as a cell."""
        return cell(_text(file))

    def records(self, file: BinaryIO) -> Iterator[_Record]:
        """All whole rows. Raises ValueError for one of another width."""
        csv.field_size_limit(sys.maxsize)  # or answers above 128 KiB could be written, and not be read
        lines = _Followed(file)
        start = lines.end
        rows = csv.reader(lines, self._dialect, strict=True)
        while True:
            try:
                row = next(rows, None)
            except csv.Error:
                if lines.is_over:  # within a quoted cell
                    return
                raise ValueError(f"a row at byte {start} is not quoted as it should be") from None
            if row is None:
                return
            if len(row) != len(self._columns.all):
                raise ValueError(f"a row at byte {start} has {len(row)} cells")
            yield _Record(row[0], row[-1] != "", start, lines.end)
            start = lines.end

    def _line(self, row: Iterable[str]) -> bytes:
        written = io.StringIO(newline="")
        csv.writer(written, self._dialect).writerow(row)
        return written.getvalue().encode()


class _Followed:
    """The whole lines of a file as text, from where it stands. `end`: where the last one has ended."""

    def __init__(self, file: BinaryIO) -> None:
        self.end = file.tell()
        self.is_over = False
        self._lines = _lines(file)

    def __iter__(self) -> Iterator[str]:
        for line, _, end in self._lines:
            if not line.endswith(b"\n"):
                break
            self.end = end
            yield line.decode()
        self.is_over = True


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Lines with their places, from where the file stands; the last one may be half-written."""
    end = file.tell()
    for line in file:
        start, end = end, end + len(line)
        yield line, start, end


def _text(file: str) -> str:
    """A file's name as text: bytes of it that are none are written as escapes."""
    return file.encode(errors="backslashreplace").decode()
