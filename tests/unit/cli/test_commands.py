"""Subcommands are imported when they are asked for, and not before."""

import subprocess
import sys
from pkgutil import resolve_name

import pytest
import typer
from typer.testing import CliRunner

from phiserve.cli.commands import COMMANDS
from phiserve.cli.main import app

HEAVY = ("openai", "phiserve.config", "numpy", "torch", "vllm", "huggingface_hub")


def modules_after(code: str) -> set[str]:
    """What of `HEAVY` a new interpreter has imported in the end."""
    told = f"{code}\nimport sys; print(*(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)"
    command = [sys.executable, "-c", told]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own
    return set(ended.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import phiserve",
        "from phiserve.cli.main import app\ntry: app(['--help'])\nexcept SystemExit: pass",
        "from phiserve.cli.main import app\ntry: app(['version'])\nexcept SystemExit: pass",
    ],
)
def test_what_says_little_imports_little(code: str) -> None:
    """Help and version come at once."""
    assert modules_after(code) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_that_of_the_command_itself(name: str) -> None:
    """In the list of all, and of each."""
    where, told = COMMANDS[name]
    found = resolve_name(where)
    assert told == (found.info.help if isinstance(found, typer.Typer) else found.__doc__.splitlines()[0])
    shown = CliRunner().invoke(app, [name, "--help"]).stdout
    assert f"Usage: root {name}" in shown
    assert told.split()[0] in shown


def test_a_mistyped_command() -> None:
    """The right one is suggested."""
    ended = CliRunner().invoke(app, ["serv"])
    assert (ended.exit_code, "'serve'" in ended.stderr) == (2, True)
