"""`phiserve serve`: mistakes are one sentence on stderr and a non-zero exit, before anything is loaded."""

import os
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner, Result

from phiserve.cli.main import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "/no/such/folder"], "no folder /no/such/folder"),
        (["--config", "/no/such.yaml"], "/no/such.yaml"),
        (["--engine", "seed"], "KEY=VALUE"),
        (["--port", "99999"], "port"),
        (["--host", "203.0.113.1"], "Cannot listen on 203.0.113.1"),
    ],
)
def test_serve_refuses(arguments: list[str], said: str) -> None:
    """Before anything is loaded."""
    result = run("serve", "--port", "0", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_busy_port() -> None:
    """A port somebody listens on is refused at once."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("serve", "--port", str(other.getsockname()[1]))
    assert result.exit_code == 1
    assert "already in use" in result.stderr


def test_plugin_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the variable."""
    monkeypatch.setenv("VLLM_PLUGINS", "")
    result = run("serve", "--port", "0")
    assert (result.exit_code, "VLLM_PLUGINS" in result.stderr) == (1, True)


def test_old_names_of_settings_are_told() -> None:
    """On stderr, before the server starts; it goes on with the new name."""
    command = [sys.executable, "-m", "phiserve", "serve", "--port", "0", "--model", "/no/such"]
    environment = os.environ | {"PHISERVE_CROP_BUDGET": "4"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)  # noqa: S603 - our own command
    warning, reason = ended.stderr.splitlines()[:2]
    assert warning.startswith("Setting PHISERVE_CROP_BUDGET is now called PHISERVE_MAX_CROPS")
    assert "no folder /no/such" in reason
    assert ended.returncode == 1
