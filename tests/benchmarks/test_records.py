"""A run's file holds what was measured, whole after every record."""

from pathlib import Path

from benchmarks.figures import Spread
from benchmarks.records import ResultsFile, read_results
from runs import CONTEXT, record, results


def test_read_as_written(tmp_path: Path) -> None:
    """After each record: an ended run loses nothing."""
    file = ResultsFile(tmp_path / "folder" / "run.json", CONTEXT)
    for number in range(3):
        file.add([record("text", "phiserve", "text", "1 client", number, requests_per_s=float(number))])
        assert read_results(file.path) == file.results
        assert len(file.results.records) == number + 1
    assert [path.name for path in file.path.parent.iterdir()] == ["run.json"]


def test_notes_and_commands_are_told_once(tmp_path: Path) -> None:
    """The first command of a name is kept."""
    file = ResultsFile(tmp_path / "run.json", CONTEXT)
    for command in ("first", "second"):
        file.note("a note")
        file.command("server", command)
    assert read_results(file.path).notes == ("a note",)
    assert read_results(file.path).commands == {"server": "first"}


def test_repetitions_are_gathered() -> None:
    """Of the same cell and peer, and of nothing else."""
    found = results(
        record("text", "phiserve", "text", "1 client", 0, x=1.0),
        record("text", "phiserve", "text", "1 client", 1, x=3.0),
        record("text", "vllm", "text", "1 client", 0, x=9.0),
        record("text", "phiserve", "text", "4 clients", 0, x=9.0),
        record("clip", "phiserve", "text", "1 client", 0, x=9.0),
    )
    assert found.spread_of("text", "text", "1 client", "phiserve", "x") == Spread(2, 1, 3, 2)
    assert found.median_of("text", "text", "1 client", "phiserve", "y") is None
    assert len(found.of_part("clip")) == 1
