"""Answers are read the same however they are cut into deltas."""

import json

import pytest

from phiserve.chat.call_reader import (
    AnswerRead,
    ArgumentsRead,
    CallBegun,
    CallReader,
    PieceRead,
    TextRead,
    read_answer,
)
from phiserve.core import ToolCall

TRICKY = json.dumps({"a": 'q"}\\', "b": {"c": [{}, "}{]"]}, "d": "\\\\"}, separators=(",", ":"))
TWO_CALLS = (
    f'functools[{{"name":"look","arguments":{TRICKY}}},{{"name":"no-w_1","arguments":{{}}}}]'  # the form
)
TWO = (ToolCall("look", TRICKY), ToolCall("no-w_1", "{}"))


def joined(pieces: list[PieceRead]) -> list[PieceRead]:
    """Neighbours of one kind as one piece."""
    result: list[PieceRead] = []
    for piece in pieces:
        last = result[-1] if result else None
        if isinstance(piece, TextRead) and isinstance(last, TextRead):
            result[-1] = TextRead(last.text + piece.text)
        elif isinstance(piece, ArgumentsRead) and isinstance(last, ArgumentsRead):
            result[-1] = ArgumentsRead(last.text + piece.text)
        else:
            result.append(piece)
    return result


def read(*deltas: str) -> list[PieceRead]:
    """All that is read of these deltas."""
    reader = CallReader()
    pieces = [piece for delta in deltas for piece in reader.feed(delta)]
    return joined([*pieces, *reader.end()])


@pytest.mark.parametrize(
    "answer",
    [TWO_CALLS, f" {TWO_CALLS}", "functo", "", " ", " functions", "functools", "Hello", "f", TWO_CALLS[:40]],
)
def test_every_cut_reads_the_same(answer: str) -> None:
    """In one delta, in two of any lengths, in three, and character by character."""
    whole = read(answer)
    assert read(*answer) == whole
    for first in range(len(answer) + 1):
        assert read(answer[:first], answer[first:]) == whole
        for second in range(first, len(answer) + 1, 5):
            assert read(answer[:first], answer[first:second], answer[second:]) == whole


def test_calls() -> None:
    """Names, and arguments letter by letter as the model wrote them."""
    assert read(TWO_CALLS) == [
        CallBegun("look"),
        ArgumentsRead(TRICKY),
        CallBegun("no-w_1"),
        ArgumentsRead("{}"),
    ]
    assert read_answer(TWO_CALLS) == AnswerRead(None, TWO, is_whole=True)


@pytest.mark.parametrize("text", ["", "Hello", "functools", "functools {", " functools", "a functools[{"])
def test_text_is_given_back_whole(text: str) -> None:
    """With what was held back because a call begins so."""
    assert "".join(piece.text for piece in read(text) if isinstance(piece, TextRead)) == text
    assert read_answer(text) == AnswerRead(text)


def test_arguments_come_as_they_are_written() -> None:
    """Nothing of them waits for the end of a call, and no text is held back once it cannot be a call."""
    reader = CallReader()
    assert reader.feed('functools[{"name":"look","arguments":{"a') == [
        CallBegun("look"),
        ArgumentsRead('{"a'),
    ]
    assert reader.feed('":1') == [ArgumentsRead('":1')]
    text = CallReader()
    assert text.feed("fun") == []
    assert text.feed("g") == [TextRead("fung")]
    assert text.feed("us functools[") == [TextRead("us functools[")]


@pytest.mark.parametrize("length", range(len(TWO_CALLS)))
def test_an_answer_cut_short(length: int) -> None:
    """It has the calls whose names came whole, with as much of the arguments as came; none is made up."""
    cut = read_answer(TWO_CALLS[:length])
    assert not cut.is_whole
    assert len(cut.calls) == TWO_CALLS[:length].count('"arguments":')
    for call, whole in zip(cut.calls, TWO, strict=False):
        assert call.name == whole.name
        assert whole.arguments.startswith(call.arguments)
    assert cut.calls[:-1] == TWO[: len(cut.calls[:-1])]


@pytest.mark.parametrize("length", range(len(TWO_CALLS)))
def test_calls_that_must_be_made(length: int) -> None:
    """Cut before a call's name, an answer that can be nothing else has no text either."""
    cut = read_answer(TWO_CALLS[:length], must_call=True)
    assert (cut.text, cut.calls) == (None, read_answer(TWO_CALLS[:length]).calls)


def test_nothing_follows_the_end() -> None:
    """An end token's text, or a scripted space, is no call and no text."""
    assert read(TWO_CALLS, " \n") == read(TWO_CALLS)
