"""A pytest plugin: writes the outcome of each test as a line of JSON to the file that CONFORMANCE_OUTCOMES
names.
"""

import json
import os
from collections.abc import Sequence

import pytest

_STRENGTH = ("passed", "skipped", "failed")
_outcomes: dict[str, tuple[str, str]] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test is what the worst of its set-up, call and tear-down is; a failure that its suite expects counts
    as skipped.
    """
    outcome, detail = _outcomes.get(report.nodeid, ("passed", ""))
    if _STRENGTH.index(report.outcome) > _STRENGTH.index(outcome):
        _outcomes[report.nodeid] = (report.outcome, _detail(report))
    else:
        _outcomes[report.nodeid] = (outcome, detail)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be collected is a failed test of its name."""
    if report.failed:
        _outcomes[report.nodeid] = ("failed", _last_line(str(report.longrepr)))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """What is left out is counted too."""
    _outcomes.update((item.nodeid, ("left out", "")) for item in items)


def pytest_sessionfinish() -> None:
    """Write them all."""
    with open(os.environ["CONFORMANCE_OUTCOMES"], "w", encoding="utf-8") as file:
        for test, (outcome, detail) in _outcomes.items():
            file.write(json.dumps({"test": test, "outcome": outcome, "detail": detail}) + "\n")


def _detail(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash is not None else _last_line(str(report.longrepr))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""
