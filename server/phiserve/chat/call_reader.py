"""Text deltas of an answer -> text, or calls of tools, as they come.

What is read was held to the grammar of `constraints.tool_calls`, or cut from such an answer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from phiserve.constraints.tool_calls import OPENING
from phiserve.core import ToolCall

_HEAD = re.compile(r',?\{"name":"([a-zA-Z0-9_-]+)","arguments":')
_STRUCTURE = re.compile(r'["\\{}]')


@dataclass(frozen=True, slots=True)
class TextRead:
    """A piece of an answer that is text."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The next call; how many came before it is its number."""

    name: str


@dataclass(frozen=True, slots=True)
class ArgumentsRead:
    """A piece of the JSON text of the last call's arguments."""

    text: str


PieceRead = TextRead | CallBegun | ArgumentsRead
_Place = Literal["opening", "text", "before call", "arguments", "after call", "end"]


class CallReader:
    """Reads one answer: `feed` for each delta, then `end`.

    Whatever the deltas are, the pieces put together are the same. `must_call`: whether the answer can be
    nothing but calls.
    """

    def __init__(self, *, must_call: bool = False) -> None:
        self._must_call = must_call
        self._place: _Place = "opening"
        self._unread = ""
        self._depth = 0
        self._in_string = False
        self._after_backslash = False

    @property
    def has_calls(self) -> bool:
        """Whether the answer is made of calls, as far as it has been read."""
        return self._must_call or self._place not in ("opening", "text")

    @property
    def is_whole(self) -> bool:
        """Whether all calls of the answer have been read to their end."""
        return self._place == "end"

    def feed(self, text: str) -> list[PieceRead]:
        """Take in a delta. What cannot be told yet is held back."""
        self._unread += text
        pieces: list[PieceRead] = []
        while self._unread:
            place, unread = self._place, self._unread
            piece = self._step()
            if piece is not None:
                pieces.append(piece)
            if (self._place, self._unread) == (place, unread):
                break
        return pieces

    def end(self) -> list[PieceRead]:
        """The answer is over: text that was held back, since it might have become a call.

        Where it had to become one, it is the beginning of a call that was cut, and no text.
        """
        if self._place != "opening" or not self._unread or self._must_call:
            return []
        text, self._unread, self._place = self._unread, "", "text"
        return [TextRead(text)]

    def _step(self) -> PieceRead | None:
        """Read on from where the answer is, or leave all as it is where more must come first."""
        if self._place == "opening":
            self._read_opening()
            return None
        if self._place == "before call":
            return self._read_head()
        if self._place == "arguments":
            return self._read_arguments()
        if self._place == "after call":
            self._place, self._unread = "before call", self._unread[1:]
            return None
        text, self._unread = self._unread, ""
        return TextRead(text) if self._place == "text" else None

    def _read_opening(self) -> None:
        begun = self._unread.removeprefix(" ")
        if begun.startswith(OPENING):
            self._place, self._unread = "before call", begun.removeprefix(OPENING)
        elif not OPENING.startswith(begun):
            self._place = "text"

    def _read_head(self) -> CallBegun | None:
        if self._unread.startswith("]"):
            self._place, self._unread = "end", ""
            return None
        head = _HEAD.match(self._unread)
        if head is None:
            return None
        self._place, self._unread = "arguments", self._unread[head.end() :]
        return CallBegun(head[1])

    def _read_arguments(self) -> ArgumentsRead:
        """All that is there up to the brace that ends the arguments."""
        text, position = self._unread, 0
        while position < len(text):
            if self._after_backslash:
                self._after_backslash = False
                position += 1
                continue
            found = _STRUCTURE.search(text, position)
            if found is None:
                break
            position = found.end()
            self._pass(found[0])
            if self._depth == 0 and found[0] == "}" and not self._in_string:
                self._place, self._unread = "after call", text[position:]
                return ArgumentsRead(text[:position])
        self._unread = ""
        return ArgumentsRead(text)

    def _pass(self, character: str) -> None:
        """Go past a quote, a backslash or a brace."""
        if character == '"':
            self._in_string = not self._in_string
        elif self._in_string:
            self._after_backslash = character == "\\"
        else:
            self._depth += 1 if character == "{" else -1


@dataclass(frozen=True, slots=True)
class AnswerRead:
    """A whole answer: its text, or None and the calls it is made of; `is_whole`: these came to their end."""

    text: str | None
    calls: tuple[ToolCall, ...] = ()
    is_whole: bool = False


def read_answer(text: str, *, must_call: bool = False) -> AnswerRead:
    """Read an answer that is there as a whole."""
    reader = CallReader(must_call=must_call)
    pieces = [*reader.feed(text), *reader.end()]
    if not reader.has_calls:
        return AnswerRead(text)
    return AnswerRead(None, tuple(_calls(pieces)), reader.is_whole)


def _calls(pieces: Iterable[PieceRead]) -> list[ToolCall]:
    calls: list[ToolCall] = []
    for piece in pieces:
        if isinstance(piece, CallBegun):
            calls.append(ToolCall(piece.name, ""))
        elif isinstance(piece, ArgumentsRead):
            calls[-1] = ToolCall(calls[-1].name, calls[-1].arguments + piece.text)
    return calls
