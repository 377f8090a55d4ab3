"""How the runs of others' suites are held against the list of differences."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance import report
from conformance.differences import Difference, compare, read_differences
from conformance.outcomes import Outcome
from conformance.plugins import recorder, vllm_server

PASSES = Outcome("a", "x.py::test_one[1]", "passed", "")
FAILS = Outcome("a", "x.py::test_two[1]", "failed", "no")
SKIPPED = Outcome("a", "x.py::test_three", "skipped", "no internet")


def difference(*tests: str, suite: str = "a") -> Difference:
    return Difference(suite, tests, "since it is so")


def test_a_failure_without_a_reason_is_unexpected() -> None:
    """Nothing listed explains nothing, and neither does what is listed for another suite."""
    for listed in ([], [difference("*test_two*", suite="b")]):
        assert compare([PASSES, FAILS, SKIPPED], listed).unexpected == (FAILS,)


def test_a_listed_failure_is_reasoned() -> None:
    """The reason comes with the tests it explains; brackets in a pattern mean themselves."""
    listed = difference("*::test_two[1]")
    comparison = compare([PASSES, FAILS, SKIPPED], [listed])
    assert comparison.reasoned == ((listed, (FAILS,)),)
    assert (comparison.unexpected, comparison.stale) == ((), ())


def test_lines_that_are_out_of_date_are_told() -> None:
    """A listed test that passes, and a pattern that no failure has, even beside one that has."""
    stale = compare([PASSES, FAILS], [difference("*::test_*[1]", "*test_four*")]).stale
    assert stale == ("a: x.py::test_one[1] passes", "a: no test fails as *test_four*")


def test_chance_is_allowed_for() -> None:
    """Where chance decides, neither a pass nor a failure is out of order."""
    listed = Difference("a", ("*test_two*",), "since it is so", sometimes=True)
    for outcome in (FAILS, Outcome("a", FAILS.test, "passed", "")):
        comparison = compare([outcome], [listed])
        assert (comparison.unexpected, comparison.stale) == ((), ())


def test_suites_that_were_not_run_are_left_alone() -> None:
    """One suite can be run by itself."""
    assert compare([PASSES], [difference("*", suite="b")]).stale == ()


def test_every_listed_difference_has_a_reason() -> None:
    """In words."""
    for listed in read_differences():
        assert len(listed.reason.split()) > 5, listed.tests


def results(
    outcomes: list[Outcome], listed: list[Difference], file: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What RESULTS.md would say."""
    monkeypatch.setattr(report, "RESULTS", file)
    report.write_results(outcomes, compare(outcomes, listed), {"a": "1.0"})
    return file.read_text()


def test_results_name_tests_without_folders_and_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parameter may hold a slash, or what else stands in names; it only counts."""
    names = [
        "t/b.py::test_x[HuggingFaceH4/zephyr-7b-beta]",
        "t/b.py::test_x[a/b[c]::d/e]",
        "b.py::test_y",
        "POST /v1/chat: checks",
    ]
    outcomes = [Outcome("a", name, "failed", "no") for name in names]
    text = results(outcomes, [difference("*")], tmp_path / "RESULTS.md", monkeypatch)
    named = [
        "- since it is so",
        "  - `b.py::test_x (2 times)`",
        "  - `b.py::test_y`",
        "  - `POST /v1/chat: checks`",
    ]
    assert [line for line in text.splitlines() if line.lstrip().startswith("- ")] == named


def test_results_tell_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither passed nor skipped; nothing is said where nothing is."""
    left_out = [Outcome("a", f"x.py::test_{number}", "left out", "") for number in range(3)]
    text = results([PASSES, SKIPPED, *left_out], [], tmp_path / "RESULTS.md", monkeypatch)
    assert "| a | 1.0 | 1 | 0 | 1 | 0 |" in text
    assert "\nLeft out: 3 tests that ask no server.\n" in text
    assert "Left out" not in results([PASSES], [], tmp_path / "RESULTS.md", monkeypatch)


def test_tests_that_ask_no_server_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's tests of its own classes are not run, and are written down."""
    monkeypatch.setitem(sys.modules, "tests.conftest", SimpleNamespace(LocalAssetServer=SimpleNamespace()))
    monkeypatch.setattr(recorder, "_outcomes", {})
    monkeypatch.setenv("CONFORMANCE_OUTCOMES", str(tmp_path / "outcomes"))
    config: Any = SimpleNamespace(hook=recorder)
    asks, asks_none = (
        SimpleNamespace(nodeid="x.py::asks", fixturenames=["client"]),
        SimpleNamespace(nodeid="x.py::asks_none"),
    )
    items: list[Any] = [asks_none, asks]
    vllm_server.pytest_collection_modifyitems(config, items)
    assert items == [asks]
    recorder.pytest_sessionfinish()
    written = [json.loads(line) for line in (tmp_path / "outcomes").read_text().splitlines()]
    assert written == [{"test": "x.py::asks_none", "outcome": "left out", "detail": ""}]
