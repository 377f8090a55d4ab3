"""The launcher's own parts: the port, and what it says."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from phiserve import launcher
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.config import Settings
from phiserve.errors import StartupError
from phiserve.launcher import _banner, _bound_socket, _url_of, _write_whole, serve
from servers import needs_ipv6


def test_settings_are_judged_before_a_checkpoint_is_looked_for() -> None:
    """A mistake in them is told at once, not after gigabytes have been fetched."""
    with pytest.raises(StartupError, match="image_hosts"):
        serve(Settings(model="/no/such", image_hosts=("localhost",)), Console(quiet=True))


BEFORE_THE_ENGINE = """
import os, sys
from phiserve.cli.main import app
from phiserve import launcher
print(*({"torch", "vllm", "transformers"} & sys.modules.keys()), len(os.listdir("/proc/self/task")))
"""


def test_what_is_imported_before_settings_are_judged() -> None:
    """Neither torch, which reads variables that are not set yet, nor what begins threads: they would keep
    engines from being forked.
    """
    command = [sys.executable, "-c", BEFORE_THE_ENGINE]
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603 - our own
    assert ran.stdout == "1\n"


def test_weights_are_looked_at_before_the_engine_is_loaded(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is cut short is told in a sentence, and nothing is started."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "cut"))
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    monkeypatch.setattr(launcher, "_serve", lambda *arguments: pytest.fail("the engine would be started"))
    with pytest.raises(StartupError, match=f"{weights} is cut short"):
        serve(Settings(model=str(folder), port=0), Console(quiet=True))


def test_port_is_held_while_loading() -> None:
    """Bound but not listening: connections are refused, and so is a second server."""
    with _bound_socket("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        with pytest.raises(StartupError, match="already in use"), _bound_socket("127.0.0.1", port):
            pass


def test_port_is_free_again_after_a_restart() -> None:
    """Also when this side closed a connection first, which leaves it in TIME_WAIT."""
    with _bound_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as `_serve` does before it listens
        listener.listen()

        def accept_and_close() -> None:
            """One connection, closed from this side."""
            listener.accept()[0].close()

        closing = threading.Thread(target=accept_and_close)
        closing.start()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            closing.join(5)
            assert client.recv(1) == b""
    with _bound_socket("127.0.0.1", port):
        pass


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:"), pytest.param("::1", "http://[::1]:", marks=needs_ipv6)],
)
def test_banner(host: str, url: str) -> None:
    """The address comes last; a model that is not Phi-3-vision is told."""
    with _bound_socket(host, 0) as listener:
        address = _url_of(listener)
        plain = _banner(address, "m", CheckpointKind.PHI3_VISION, ["device x"], 3)
        blank = _banner(address, "m", CheckpointKind.BLANK, [], 3)
        demo = _banner(address, "m", CheckpointKind.DEMO, [], 3)
    assert url in plain[-1]
    assert plain[0] == "  device x"
    assert not any("mean nothing" in line for line in plain)
    assert any("mean nothing" in line for line in blank)
    assert any("not Phi-3-vision" in line for line in demo)


def test_ready_file_is_never_half_written(tmp_path: Path) -> None:
    """It replaces what was there at once, and leaves nothing beside it."""
    file = tmp_path / "url"
    file.write_text("old")
    _write_whole(file, "http://127.0.0.1:1/v1")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["http://127.0.0.1:1/v1"]
