"""Tables: what is in them already, rows as they come, and their order at the end."""

import csv
import json
from pathlib import Path

import pytest

from phiserve.cli.batch.cells import Columns, Row, failed_row
from phiserve.cli.batch.resumed import ResumedFile
from phiserve.cli.batch.table import Table, form_of
from phiserve.errors import StartupError

COLUMNS = Columns(("answer",), properties=False)
HARD = 'a "quoted", b;\tc\r\nd\ne\r'
ROWS: list[Row] = [
    {"file": "b.jpg", "answer": HARD, "error": None},
    failed_row("c.jpg", "too large, by far"),
    {"file": "-a.jpg", "answer": "=1", "error": None},
    {"file": "\udcff.jpg", "answer": "", "error": None},
]
FILES = ["-a.jpg", "b.jpg", "c.jpg", "d.jpg", "\udcff.jpg"]
SUFFIXES = ("csv", "tsv", "jsonl")


def write(path: Path, rows: list[Row], *, settle: bool = False) -> set[str]:
    """Add rows to a table; those of `FILES` that had been answered about before."""
    with ResumedFile(path) as file:
        table = Table(file, COLUMNS)
        done = table.done(FILES)
        for row in rows:
            table.add(row)
        if settle:
            table.settle()
    return done


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_going_on(suffix: str, tmp_path: Path) -> None:
    """What failed is not done; its later row counts."""
    path = tmp_path / f"t.{suffix}"
    assert write(path, ROWS) == set()
    assert write(path, [{"file": "c.jpg", "answer": "C", "error": None}]) == {"-a.jpg", "b.jpg", "\udcff.jpg"}
    assert write(path, [], settle=True) == {*FILES} - {"d.jpg"}
    assert write(path, []) == {*FILES} - {"d.jpg"}


def test_csv(tmp_path: Path) -> None:
    """A header, rows in their files' order, one for each, as RFC 4180 has it."""
    write(tmp_path / "t.csv", [*ROWS, {"file": "c.jpg", "answer": "C", "error": None}], settle=True)
    content = (tmp_path / "t.csv").read_bytes()
    assert content.startswith(b"file,answer,error\r\n'-a.jpg,'=1,\r\n")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, strict=True))
    assert rows[1:] == [
        ["'-a.jpg", "'=1", ""],
        ["\\udcff.jpg", "", ""],
        ["b.jpg", HARD, ""],
        ["c.jpg", "C", ""],
    ]


def test_other_forms(tmp_path: Path) -> None:
    """Tabs, or objects whose texts are as they are."""
    for suffix in ("tsv", "jsonl"):
        write(tmp_path / f"t.{suffix}", ROWS, settle=True)
    assert (tmp_path / "t.tsv").read_text().startswith("file\tanswer\terror\n'-a.jpg\t'=1\t\n")
    first = json.loads((tmp_path / "t.jsonl").read_text().splitlines()[0])
    assert first == {"file": "-a.jpg", "answer": "=1", "error": None}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_place_where_it_may_have_been_ended(suffix: str, tmp_path: Path) -> None:
    """A half-written row is cut off, wherever, and every whole one is there; rows that follow are read."""
    path = tmp_path / f"t.{suffix}"
    ends = []
    with ResumedFile(path) as file:
        table = Table(file, COLUMNS)
        for row in ROWS:
            ends.append(file.size)
            table.add(row)
    content = path.read_bytes()
    more: list[Row] = [{"file": "d.jpg", "answer": HARD, "error": None}]
    for size in range(len(content)):
        path.write_bytes(content[:size])
        whole = sum(end <= size for end in ends[1:])
        assert write(path, more) == {str(row["file"]) for row in ROWS[:whole] if not row["error"]}
        assert write(path, []) >= {"d.jpg"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"file,title,error\r\n"),
        ("t.csv", b"something else"),
        ("t.tsv", b"file,answer,error\r\n"),
        ("t.csv", b"file,answer,error\r\na,b\r\n"),
        ("t.csv", b'file,answer,error\r\na,"b"c,d\r\ne,f,\r\n'),
        ("t.csv", b"file,answer,error\r\na,\xff,\r\n"),
        ("t.jsonl", b"{}\n"),
        ("t.jsonl", b"notes"),
        ("t.jsonl", b"notes\n"),
        ("t.jsonl", b'{"file": "a", "title": "b", "error": null}\n'),
    ],
)
def test_what_is_not_ours_stays(name: str, content: bytes, tmp_path: Path) -> None:
    """Another table, or anything else, is refused and not touched."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StartupError, match="name another file"):
        write(tmp_path / name, ROWS)
    assert (tmp_path / name).read_bytes() == content


def test_long_cells_are_read_again(tmp_path: Path) -> None:
    """Beyond what Python's reader takes by itself."""
    write(tmp_path / "t.csv", [{"file": "b.jpg", "answer": "x" * 200_000, "error": None}])
    assert write(tmp_path / "t.csv", []) == {"b.jpg"}


def test_suffixes() -> None:
    """Others are refused; large letters are the same."""
    form_of(Path("a.CSV"), COLUMNS)
    with pytest.raises(StartupError, match=r"'a.xlsx' must end in .csv, .tsv or .jsonl"):
        form_of(Path("a.xlsx"), COLUMNS)
