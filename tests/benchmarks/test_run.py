"""The command: its parts, and what becomes of one that fails."""

import json
from pathlib import Path

import pytest

from benchmarks import run
from benchmarks.bench import Bench
from benchmarks.records import read_results
from benchmarks.report import RESULTS


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Arguments that keep everything below the test's folder; RESULTS.md too."""
    monkeypatch.setattr(
        run, "write_report", lambda results, file, target: (tmp_path / "RESULTS.md").write_text(file.name)
    )
    return [
        "--work",
        str(tmp_path / "work"),
        "--results",
        str(tmp_path),
        "--reference-code",
        str(tmp_path / "none"),
    ]


def test_reports_of_runs_elsewhere_are_elsewhere(tmp_path: Path) -> None:
    assert run.report_of(tmp_path / "results" / "1.json") == tmp_path / "RESULTS.md"
    assert run.report_of(RESULTS.parent / "results" / "1.json") == RESULTS


def test_a_part_that_fails_holds_up_no_other(
    folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is written down, the others run, the report is made, and the status says so."""
    ran: list[bool] = []

    def fail(bench: Bench) -> None:
        raise RuntimeError("no server")

    monkeypatch.setattr(run, "PARTS", {"bad": fail, "good": lambda bench: ran.append(bench.short)})
    assert run.main(["--short", "--parts", "bad,good", *folders]) == 1
    assert ran == [True]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["failed_parts"], last["reached"]) == (["bad"], 0)
    (file,) = tmp_path.glob("2*.json")
    notes = read_results(file).notes
    assert "Part bad failed: RuntimeError: no server" in notes
    assert any("Plain vLLM was not measured" in note for note in notes)
    assert (tmp_path / "RESULTS.md").read_text() == file.name


def test_unknown_parts_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--parts", "text,nonsense"])
    assert "there is no part 'nonsense'" in capsys.readouterr().err


def test_without_code_only_ours_is_measured(folders: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left out silently (see above)."""
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(run, "PARTS", {"look": lambda bench: found.append(bench.peers)})
    assert run.main(["--parts", "look", *folders]) == 0
    assert found == [("phiserve",)]


def test_a_run_can_be_added_to(folders: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it holds stays, and the later command is written down."""
    monkeypatch.setattr(
        run,
        "PARTS",
        {"a": lambda bench: bench.results.note("a ran"), "b": lambda bench: bench.results.note("b ran")},
    )
    assert run.main(["--parts", "a", *folders]) == 0
    (file,) = tmp_path.glob("2*.json")
    assert run.main(["--parts", "b", "--into", str(file), *folders]) == 0
    assert list(tmp_path.glob("2*.json")) == [file]
    found = read_results(file)
    assert {"a ran", "b ran"} <= set(found.notes)
    assert "--parts a" in found.context.command
    assert any("--parts b" in note for note in found.notes)
