"""Finding a server, and saying what is there instead."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from phiserve.cli import connection
from phiserve.cli.connection import _wait, connected
from phiserve.errors import StartupError
from servers import Reply, WebServer, web_server


def connect(url: str | None, model: str | None = None) -> str:
    with connected(url, model, Console(file=io.StringIO())) as found:
        found.client.close()
        return found.model


def test_a_running_server() -> None:
    """Its first model is asked."""
    with web_server(WebServer()) as server:
        assert connect(server.url) == "m"


@pytest.mark.parametrize(
    "reply", [(200, "text/html", b"<html>hello</html>"), (401, "application/json", b"{}")]
)
def test_other_servers(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is told; no second server is started beside one, at the default address either."""
    with web_server(WebServer(get=reply)) as server:
        monkeypatch.setattr(connection, "DEFAULT_URL", server.url)
        for url in (server.url, None):
            with pytest.raises(
                StartupError, match=r"not an OpenAI-compatible server|set PHISERVE_API_KEY"
            ) as raised:
                connect(url)
            assert ("--model starts one" in str(raised.value)) == (
                url is None
            )  # who names an address means it


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
