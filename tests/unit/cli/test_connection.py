"""Finding a server, and saying what is there instead."""

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from phiserve.cli.connection import _wait, connected
from phiserve.errors import StartupError


@contextmanager
def server(status: int, body: bytes) -> Iterator[str]:
    """A server that answers everything alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}/v1"
        web.shutdown()


def connect(url: str | None, model: str | None = None) -> str:
    with connected(url, model, Console(file=io.StringIO())) as connection:
        connection.client.close()
        return connection.model


def test_a_running_server() -> None:
    """Its first model is asked."""
    with server(200, b'{"object": "list", "data": [{"id": "m", "object": "model", "created": 0, "owned_by": ""}]}') as url:
        assert connect(url) == "m"


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"{}", "set PHISERVE_API_KEY"),
        (404, b"{}", "not an OpenAI-compatible server"),
        (200, b'{"data": []}', "not an OpenAI-compatible server"),
        (200, b"<html>hello</html>", "not an OpenAI-compatible server"),
        (200, b"[]", "not an OpenAI-compatible server"),
    ],
)
def test_other_servers(status: int, body: bytes, said: str) -> None:
    """What is wrong is told; no second server is started beside one."""
    with server(status, body) as url, pytest.raises(StartupError, match=said):
        connect(url)


def test_no_server() -> None:
    """A URL that is given is meant."""
    with pytest.raises(StartupError, match="No server answers at"):
        connect("http://127.0.0.1:9/v1")
    with pytest.raises(StartupError, match="not both"):
        connect("http://127.0.0.1:9/v1", "model")


def test_a_server_that_ends_while_starting(tmp_path: Path) -> None:
    """Its last sentence is the reason, whatever its libraries say after it."""
    log = tmp_path / "log"
    log.write_text("phiserve 1: loading\nphiserve: There is no folder x\n  warnings.warn('something')\n")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(StartupError, match=r"^There is no folder x$"):
        _wait(process, tmp_path / "url", log, Console(file=io.StringIO()))
