"""`phiserve top`: in a terminal, in a pipe, and while the server goes and comes back."""

import os
import re
import sys
from dataclasses import dataclass

import pexpect
import pytest
from typer.testing import CliRunner, Result

from phiserve.cli import top as module
from phiserve.cli.main import app
from phiserve.cli.top import WatchedServer
from servers import Reply, WebServer, refusal, web_server

NOWHERE = "http://127.0.0.1:1/v1"
TEXT = "text/plain; version=0.0.4"


@dataclass
class Metrics(WebServer):
    """A server whose prompt tokens grow by ten with each look, and whose words are set by the test."""

    ready: Reply = (200, "application/json", b'{"status":"ready"}')
    broken: Reply | None = None
    tokens: int = 0
    started: float = 1.0

    def answer(self, path: str, body: bytes) -> Reply:
        """By the path; `/v1` is none of them."""
        self.paths.append(path)
        if path == "/ready":
            return self.ready
        assert path == "/metrics"
        self.tokens += 10
        text = (
            f"process_start_time_seconds {self.started}\n"
            f"vllm:prompt_tokens_total {float(self.tokens)}\n"
            f'phiserve_owner_requests_total{{owner="alice"}} {float(self.tokens)}\n'
        )
        return self.broken or (200, TEXT, text.encode())


def once(url: str, *arguments: str) -> Result:
    """One table."""
    return CliRunner().invoke(app, ["top", "--once", "--interval", "0.1", "--url", url, *arguments])


def test_once() -> None:
    """Two looks, and what happened between them."""
    with web_server(Metrics()) as server:
        result = once(server.url)
    assert (result.exit_code, result.stderr) == (0, "")
    found = re.search(r"tokens/s\s+(\d+)", result.stdout)
    assert found is not None
    assert 0 < int(found[1]) <= 100  # ten tokens in 0.1 s at least
    assert "alice" in result.stdout
    assert "ready" in result.stdout
    assert server.paths == ["/metrics", "/ready"] * 2
    assert "\x1b" not in result.stdout


def test_not_ready() -> None:
    """With the server's own reason; its control characters are not shown."""
    with web_server(Metrics(ready=refusal(503, "The engine ended; a new one starts"))) as server:
        result = once(server.url)
    assert result.exit_code == 0
    assert "not ready: The engine ended; a new one starts" in result.stdout


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (refusal(401, "no"), "asks for a key: set PHISERVE_API_KEY"),
        (refusal(404, "There is no route"), "There is no route"),
        ((200, "text/html", b"<p>hello</p>"), "are no metrics"),
    ],
)
def test_what_is_no_server(broken: Reply, told: str) -> None:
    """One sentence and status 1."""
    with web_server(Metrics(broken=broken)) as server:
        result = once(server.url)
    assert (result.exit_code, told in " ".join(result.stderr.split())) == (1, True)


def test_nothing_there() -> None:
    """Told at once; an address that is none, too."""
    for url, told in ((NOWHERE, "No server answers"), ("http://", "is not the address")):
        result = once(url)
        assert (result.exit_code, told in result.stderr) == (1, True)


def test_it_goes_and_comes_back() -> None:
    """Each is told with its time; what happened while it was away is not guessed."""
    server = Metrics()
    with web_server(server):
        watched = WatchedServer(server.url)
        watched.look()
        assert watched.interval is None
        watched.look()
        assert watched.interval is not None
        assert watched.status.is_well
        server.broken = refusal(502, "bad gateway")
        watched.look()
        watched.look()
        assert re.fullmatch(r"away since \d\d:\d\d:\d\d: bad gateway", watched.status.text)
        assert watched.interval is None
        server.broken = None
        watched.look()
        assert watched.status.text == "ready"
        assert re.fullmatch(r"back at \S+, was away since \S+", watched.status.note)
        watched.look()
        assert watched.interval is not None
        server.started = 2.0
        watched.look()
        assert watched.interval is None
        assert watched.status.note.startswith("started anew")
        watched.close()


def test_rates_are_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings that are older than the window are forgotten."""
    monkeypatch.setattr(module, "WINDOW_S", 0.0)
    server = Metrics()
    with web_server(server):
        watched = WatchedServer(server.url)
        for _ in range(5):
            watched.look()
        assert watched.interval is not None
        assert watched.interval.grown.value("vllm:prompt_tokens_total") == 10
        watched.close()


def test_at_a_terminal() -> None:
    """It is drawn again and again, says when the server goes and comes back, and Ctrl-C ends it with 0."""
    server = Metrics()
    with web_server(server):
        terminal = pexpect.spawn(
            sys.executable,
            ["-m", "phiserve", "top", "--interval", "0.1", "--url", server.url],
            timeout=60,
            encoding="utf-8",
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
            dimensions=(24, 80),
        )
        terminal.expect("alice")
        server.broken = refusal(502, "bad gateway")
        terminal.expect("away since .*bad gateway")
        server.broken = None
        terminal.expect("back at")
        terminal.expect("alice")
        terminal.sendintr()
        rest = terminal.read()
        terminal.close()
    assert terminal.exitstatus == 0
    assert "Traceback" not in rest
    assert rest.count("\x1b[?1049l") == 1  # the screen from before is there again
