"""The conversation behind the prompt."""

import io
from pathlib import Path

from rich.console import Console

from phiserve.cli.chat import HELP, Conversation, _command
from phiserve.cli.content import Detail


def conversation() -> Conversation:
    """With instructions."""
    return Conversation("Be brief", Detail.LOW)


def test_turns_add_up() -> None:
    """Instructions first, then all turns; pictures go with the next message only."""
    talk = conversation()
    talk.pictures.append("data:,1")
    asked = talk.asking("What?")
    assert [message["role"] for message in asked] == ["system", "user"]
    assert asked == talk.asking("What?")  # asking changes nothing: a refused question can be put again
    talk.answered(asked, "A cat.")
    again = talk.asking("Sure?")
    assert [message["role"] for message in again] == ["system", "user", "assistant", "user"]
    assert [part["type"] for part in again[-1]["content"]] == ["text"]
    assert talk.lines() == ["user: [picture] What?", "assistant: A cat."]
    talk.reset()
    assert [message["role"] for message in talk.asking("Hi")] == ["system", "user"]


def test_commands(tmp_path: Path) -> None:
    """Pictures wait, mistakes are told, unknown commands show the help, /quit leaves."""
    talk, console = conversation(), Console(record=True, file=io.StringIO(), width=200)
    (tmp_path / "a b.png").touch()
    assert _command(f"/image '{tmp_path}/a b.png'", talk, console)
    assert _command("/image /no/such.png", talk, console)
    assert len(talk.pictures) == 1
    assert _command("/what", talk, console)
    assert _command("/image", talk, console)
    assert _command("/history", talk, console)
    assert _command("/reset", talk, console)
    assert talk.pictures == []
    assert not _command("/quit", talk, console)
    said = console.export_text()
    assert "cannot be read" in said
    assert said.count(HELP.splitlines()[0]) == 2
    assert "nothing yet" in said
