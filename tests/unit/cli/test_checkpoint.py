"""`phiserve checkpoint blank` writes what its flags say."""

from pathlib import Path

from typer.testing import CliRunner, Result

from phiserve.cli.main import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def test_blank(tmp_path: Path) -> None:
    """Sizes come from the flags; a folder with files is refused."""
    arguments = (
        "checkpoint",
        "blank",
        str(tmp_path / "x"),
        "--hidden",
        "32",
        "--layers",
        "1",
        "--intermediate",
        "32",
    )
    assert run(*arguments).exit_code == 0
    assert (tmp_path / "x" / "config.json").is_file()
    again = run(*arguments)
    assert (again.exit_code, "not an empty folder" in again.stderr) == (1, True)
