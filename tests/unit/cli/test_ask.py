"""`phiserve ask` as a process, in the surroundings that people really have."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pdfs import pdf
from phiserve.cli.main import app
from servers import Reply, WebServer, events, refusal, web_server

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


def ask(server: WebServer, *words: str | bytes, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run to the end."""
    command = [sys.executable, "-m", "phiserve", "ask", "--url", server.url, *words]
    return subprocess.run(  # noqa: S603 - our own command
        command, capture_output=True, text=True, env=os.environ | environment, timeout=120
    )


def test_answer_and_cost(tmp_path: Path) -> None:
    """The answer and nothing else on stdout, whatever proxies the environment names; images first in the
    question.
    """
    (tmp_path / "a.png").write_bytes(b"content")
    dead = "http://127.0.0.1:9"
    with web_server(WebServer()) as server:
        result = ask(
            server,
            str(tmp_path / "a.png"),
            "What?",
            HTTP_PROXY=dead,
            http_proxy=dead,
            ALL_PROXY="socks5://127.0.0.1:9",
        )
    assert (result.returncode, result.stdout) == (0, "Hello you\n")
    assert [part["type"] for part in server.requests[0]["messages"][0]["content"]] == ["image_url", "text"]


def test_pages_of_a_pdf(tmp_path: Path) -> None:
    """Go along with it, as they are typed."""
    (tmp_path / "report.pdf").write_bytes(pdf("", "", ""))
    with web_server(WebServer()) as server:
        result = ask(server, str(tmp_path / "report.pdf"), "What?", "--pages", "2-3")
        refused = ask(server, "What?", "--pages", "2-3")
    assert (result.returncode, result.stdout) == (0, "Hello you\n")
    (part, _) = server.requests[0]["messages"][0]["content"]
    assert (part["type"], part["file"]["pages"]) == ("file", "2-3")
    assert (refused.returncode, refused.stderr) == (1, "phiserve: --pages is for PDFs, and there is none\n")


def test_text_of_all_kinds() -> None:
    """Arrives and comes back, however little the locale knows of it."""
    with web_server(WebServer(posts=[events("naïve 😀")])) as server:
        for environment in (
            {"LC_ALL": "C.UTF-8"},
            ASCII,
            ASCII | {"PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        ):
            result = ask(server, "--system", "größer", "schön?", **environment)
            assert (result.returncode, result.stdout) == (0, "naïve 😀\n")
    for request in server.requests:
        system, question = request["messages"]
        assert (system["content"], question["content"][0]["text"]) == ("größer", "schön?")


def test_no_text() -> None:
    """One sentence."""
    with web_server(WebServer()) as server:
        result = ask(server, b"\xff")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "phiserve: What was typed is not text in UTF-8\n"


def test_a_reader_that_has_seen_enough() -> None:
    """`| head -c1` ends the command quietly."""
    command = [sys.executable, "-m", "phiserve", "ask", "--url"]
    with web_server(WebServer(posts=[events(*["word "] * 20_000)])) as server:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [*command, server.url, "Hi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"w"
        process.stdout.close()
        said = process.stderr.read()
        process.stderr.close()
        assert (process.wait(60), said) == (1, b"")


def test_a_full_disk() -> None:
    """One sentence, and no second complaint when the interpreter ends."""
    command = [sys.executable, "-m", "phiserve", "ask", "--url"]
    with web_server(WebServer()) as server, open("/dev/full", "wb") as full:
        result = subprocess.run(  # noqa: S603 - our own command
            [*command, server.url, "Hi"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert (result.returncode, result.stderr) == (1, "phiserve: No space left on device\n")


@pytest.mark.parametrize(
    ("reply", "stdout", "said"),
    [
        (refusal(400, "The image is\ndamaged"), "", "The image is damaged"),
        (
            (404, "text/html", b"<html>\n<p>Not found</p>"),
            "",
            "not an OpenAI-compatible server: its status is 404",
        ),
        ((200, "text/html", b"<html>"), "", "The server sent an unexpected response"),
        ((200, "text/event-stream", b"data: {\n\n"), "", "The server sent an unexpected response"),
        (events("Hel", finish=None), "Hel\n", "The server broke the answer off"),
    ],
)
def test_unexpected_responses(reply: Reply, stdout: str, said: str) -> None:
    """One sentence on a line of its own."""
    with web_server(WebServer(posts=[reply])) as server:
        result = CliRunner().invoke(app, ["ask", "--url", server.url, "Hi"])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, stdout, 1)
    assert said in result.stderr
