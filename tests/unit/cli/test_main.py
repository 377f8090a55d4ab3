"""Failures end in one sentence and a non-zero exit; with --debug, in a traceback."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phiserve.cli import tokens
from phiserve.cli.main import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--config", "/no/such.yaml"],
        ["ask", "--url", "http://127.0.0.1:9/v1", "hi"],
        ["ask", "--url", "nonsense://", "hi"],
        ["ask", "/dev/zero", "hi"],
        ["ask", "forgotten.png"],
        ["ask", __file__],
        ["chat", "--url", "http://127.0.0.1:9/v1"],
        ["tokens", "/no/such.png", "hi"],
        ["tokens", __file__, "hi"],
        ["tokens", __file__],
        ["tokens", "--model", "/no/such", "hi"],
        ["checkpoint", "blank", "/dev/null/x"],
    ],
)
def test_one_sentence(arguments: list[str], checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on stdout, one line on stderr, status 1; the exception itself only with --debug."""
    monkeypatch.setattr(
        tokens, "locate", lambda model, say: model or str(checkpoint)
    )  # else it says what it writes
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("phiserve: ")
    assert type(run("--debug", *arguments).exception) is not SystemExit


def test_usage() -> None:
    """A wrong flag is Typer's to explain, with its own status."""
    result = run("ask", "--no-such-flag", "hi")
    assert (result.exit_code, "No such option" in result.stderr) == (2, True)


def test_version() -> None:
    """Prints the version and nothing else."""
    from phiserve import __version__

    assert run("version").stdout == f"{__version__}\n"
