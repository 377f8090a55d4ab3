"""The conversation behind the prompt."""

import io
import os
import sys
from pathlib import Path

import pexpect
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from phiserve.cli.chat import HELP, Conversation, _command
from phiserve.cli.content import Detail, Message
from phiserve.cli.main import app
from servers import Reply, WebServer, events, refusal, web_server


def conversation() -> Conversation:
    """With instructions."""
    return Conversation("Be brief", Detail.LOW)


def _part_types(message: Message) -> list[str]:
    """The types of a message's parts."""
    content = message["content"]
    assert isinstance(content, list)
    return [part["type"] for part in content]


def test_turns_add_up() -> None:
    """Instructions first, then all turns; images go with the next message only."""
    talk = conversation()
    talk.images.append("data:,1")
    asked = talk.asking("What?")
    assert [message["role"] for message in asked] == ["system", "user"]
    assert asked == talk.asking("What?")  # asking changes nothing: a refused question can be put again
    talk.answered(asked, "A cat.")
    again = talk.asking("Sure?")
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert _part_types(again[-1]) == ["text"]
    assert talk.lines() == ["user: [image] What?", "assistant: A cat."]
    talk.reset()
    assert [message["role"] for message in talk.asking("Hi")] == ["system", "user"]


def test_commands(tmp_path: Path) -> None:
    """Images wait, mistakes are told, unknown commands show the help, /quit leaves."""
    talk, console = conversation(), Console(record=True, file=io.StringIO(), width=200)
    (tmp_path / "a b.png").write_bytes(b"content")
    assert _command(f"/image '{tmp_path}/a b.png'", talk, console)
    assert _command("/image /no/such.png", talk, console)
    assert len(talk.images) == 1
    assert _command("/what", talk, console)
    assert _command("/image", talk, console)
    assert _command("/history", talk, console)
    assert _command("/reset", talk, console)
    assert talk.images == []
    assert not _command("/quit", talk, console)
    said = console.export_text()
    assert "cannot be read" in said
    assert said.count(HELP.splitlines()[0]) == 2
    assert "nothing yet" in said


def chat(server: WebServer, typed: str | bytes) -> Result:
    """A whole conversation, typed in advance."""
    return CliRunner().invoke(app, ["chat", "--url", server.url], input=typed)


def images_of(request: dict[str, list[Message]]) -> list[int]:
    """How many images each message of a request has."""
    return [str(message["content"]).count("'image_url', ") for message in request["messages"]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A file, at least."""
    file = tmp_path / "a.png"
    file.write_bytes(b"no image")
    return file


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_image_is_put_away(status: int, image: Path) -> None:
    """The next question goes without it, and is answered."""
    server = WebServer(posts=[refusal(status, "The image is damaged"), events("Hello")])
    with web_server(server):
        result = chat(server, f"/image {image}\nWhat is it?\nAnd now?\n")
    assert (result.exit_code, result.stdout) == (0, "Hello\n")
    assert "The image is damaged" in result.stderr
    assert "the images are put away" in result.stderr
    assert [images_of(request) for request in server.requests] == [[1], [0]]


def test_a_busy_server_blames_no_image(image: Path) -> None:
    """The same can be asked again."""
    server = WebServer(posts=[refusal(429, "Too many requests"), events("Hello")])
    with web_server(server):
        result = chat(server, f"/image {image}\nWhat is it?\nWhat is it?\nSure?\n")
    assert "put away" not in result.stderr
    assert [images_of(request) for request in server.requests] == [[1], [1], [1, 0, 0]]


@pytest.mark.parametrize(
    "reply", [(200, "text/html", b"<html>"), (200, "text/event-stream", b"data: 5\n\n"), events(finish=None)]
)
def test_unexpected_responses(reply: Reply) -> None:
    """Is told; the conversation goes on without it."""
    server = WebServer(posts=[reply, events("Hello")])
    with web_server(server):
        result = chat(server, "One?\nTwo?\n")
    assert (result.exit_code, result.stdout) == (0, "Hello\n")
    assert "unexpected response" in result.stderr
    assert len(server.requests[1]["messages"]) == 1


def test_lines_that_are_no_text() -> None:
    """Are told and left out, one by one; nobody is prompted who is not there."""
    server = WebServer()
    with web_server(server):
        result = chat(server, "Schön?\n".encode() + b"\xff\n" + b"Why?\n")
    assert (result.exit_code, result.stdout) == (0, "Hello you\nHello you\n")
    assert result.stderr.count("not text in UTF-8") == 1
    assert [request["messages"][-1]["content"][0]["text"] for request in server.requests] == [
        "Schön?",
        "Why?",
    ]


def _at_a_terminal(server: WebServer) -> "pexpect.spawn[str]":
    """The command, in a terminal without colours."""
    return pexpect.spawn(
        sys.executable,
        ["-m", "phiserve", "chat", "--url", server.url],
        timeout=60,
        encoding="utf-8",
        env={**os.environ, "TERM": "dumb", "COLUMNS": "200"},
        dimensions=(40, 200),
    )


def _expect_ctrl_c_answered(terminal: "pexpect.spawn[str]") -> None:
    """Python notices a signal that comes just before it waits for a key only with the next key."""
    if terminal.expect(["Ctrl-D to leave", pexpect.TIMEOUT], timeout=5):
        terminal.send(" ")
        terminal.expect("Ctrl-D to leave")


def test_a_person_at_a_terminal() -> None:
    """The up arrow brings the last line back, Ctrl-C ends nothing at the prompt, Ctrl-D leaves and ends the
    line.
    """
    turn = "user: First\\?\r\nassistant: Hello you\r\n"
    with web_server(WebServer()) as server:
        terminal = _at_a_terminal(server)
        terminal.expect("you> ")
        terminal.sendline("First?")
        terminal.expect("Hello you\r\n")
        terminal.expect("you> ")
        terminal.send("\x1b[A\n")
        terminal.expect("Hello you\r\n")
        terminal.expect("you> ")
        terminal.send("half a line")
        terminal.expect("half a line")
        terminal.sendintr()
        _expect_ctrl_c_answered(terminal)
        terminal.expect("you> ")
        terminal.sendline("/history")
        terminal.expect(2 * turn)
        terminal.expect("you> ")
        terminal.sendeof()
        terminal.expect("\n")
        terminal.expect(pexpect.EOF)
        terminal.close()
    assert terminal.exitstatus == 0
    questions = [request["messages"][-1]["content"][0]["text"] for request in server.requests]
    assert questions == ["First?", "First?"]
