"""`phiserve doctor` prints all findings and ends with 1 if one is wrong."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from phiserve.cli.checks import CHECKS
from phiserve.cli.main import app


def test_report(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each check; what is wrong is followed by what to do, and the other checks go on."""
    healthy = CliRunner().invoke(app, ["doctor", "--model", str(checkpoint)])
    assert healthy.exit_code == 0
    assert [check.__name__ in healthy.stdout for check in CHECKS] == [True] * len(CHECKS)
    monkeypatch.setenv("VLLM_PLUGINS", "")
    sick = CliRunner().invoke(app, ["doctor", "--model", str(checkpoint)])
    assert sick.exit_code == 1
    assert "FAIL plugin" in sick.stdout
    assert "ok   image" in sick.stdout
