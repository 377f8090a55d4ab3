"""Standard streams that no character breaks."""

import io
import os
import sys

import pytest

from phiserve.cli.streams import prepare_streams, settle_stdout, showable, typed
from phiserve.errors import StartupError


def test_what_is_typed() -> None:
    """Text stays; bytes that the locale did not know are UTF-8 or a mistake."""
    assert typed("schön 😀") == "schön 😀"
    assert typed("sch\udcc3\udcb6n", "ascii") == "schön"
    for mistake in ("sch\udcf6n", "\ud800"):
        with pytest.raises(StartupError, match="not text in UTF-8"):
            typed(mistake)


def test_every_character_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an escape where the stream's encoding lacks it; and every byte can be read."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n"), encoding="utf-8"))
    prepare_streams()
    print("naïve \udcff", flush=True)  # noqa: T201 - what is tested
    assert written.getvalue() == b"na\\xefve \\udcff\n"
    assert sys.stdin.readline() == "\udcff\n"


def test_there_may_be_no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a shell's `>&-`."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    prepare_streams()
    settle_stdout()
    assert showable("a") == "a"


def test_output_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settled once, a closed pipe is no error any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("unread")
        settle_stdout()
        stream.write("unread too")
        stream.flush()


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        """It does."""
        return True


def test_a_terminal_is_not_controlled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers move no cursor and set no title there; files get them whole."""
    answer = "a\x1b]0;title\x07\tb\x9b2J\nc"
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert showable(answer) == "a]0;title\tb2J\nc"
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert showable(answer) == answer
