"""The launcher's own parts: the port, and what it says."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from phiserve.checkpoint.blank import BlankShape, write_blank
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.config import Settings
from phiserve.errors import StartupError
from phiserve.launcher import BLANK_NOTE, _banner, _bound_socket, start_services
from phiserve.protocol.responses import ModelCard


def card(description: str) -> ModelCard:
    """A model card."""
    return ModelCard("m", 0, 4096, 16, ["text"], description)


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


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
def test_banner(host: str, url: str) -> None:
    """The address comes last; blank weights are told."""
    with _bound_socket(host, 0) as listener:
        plain = _banner(listener, card("Phi-3-vision"), ["device x"], 3)
        blank = _banner(listener, card(f"Phi-3-vision with {BLANK_NOTE}"), [], 3)
    assert url in plain[-1]
    assert plain[0] == "  device x"
    assert not any("mean nothing" in line for line in plain)
    assert any("mean nothing" in line for line in blank)


def test_missing_decoders_are_told_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A format whose package is not installed stops the start, with the remedy."""
    monkeypatch.setattr("phiserve.vision.formats.find_spec", lambda name: None)
    write_blank(tmp_path / "x", BlankShape(32, 1, 2, 32))
    with pytest.raises(StartupError, match="pillow-heif"):
        asyncio.run(start_services(Settings(extra_image_formats=["HEIC"]), open_checkpoint(str(tmp_path / "x"))))
