"""Digits are counted where JSON's numbers stand, and nowhere else."""

import pytest

from phiserve.constraints.digits import MAX_DIGITS, MAX_EXPONENT_DIGITS, DigitCount, json_opening
from phiserve.constraints.gbnf import gbnf_grammar
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.regex import regex_grammar
from phiserve.constraints.tool_calls import ANY_TEXT, OPENING, calls_grammar

MANY = "1" * MAX_DIGITS
ARGUMENTS = {"look": json_schema_grammar()}


def is_full(text: str, opening: bytes = b"") -> bool:
    """Whether no digit may follow a text, whichever tokens it came in."""
    found = set()
    for size in (1, 3, 1000):
        count = DigitCount(opening)
        for start in range(0, len(text), size):
            count.feed(text[start : start + size].encode())
        found.add(count.is_full)
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MANY, True),
        (f"-{MANY}", True),
        (MANY[1:], False),
        (f"{MANY}.", False),
        (f"{MANY}.{MANY[1:]}", False),
        (f"0.{MANY}", True),
        (f"[{MANY},1", False),
        ("1e" + "1" * MAX_EXPONENT_DIGITS, True),
        ("1.5E+" + "1" * MAX_EXPONENT_DIGITS, True),
        ("1E-1", False),
        (f'{{"a":true,"b":{MANY[1:]}', False),
        (f'{{"a":{MANY}', True),
        (f'{{"a":"{MANY}', False),
        (f'{{"{MANY}":1', False),
        (f'"\\"{MANY}', False),
        (f'["\\\\",{MANY}', True),
        ("", False),
    ],
)
def test_counting(text: str, expected: bool) -> None:
    """Before the point, after it, and in the exponent; not in texts and names."""
    assert is_full(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f' {OPENING}{{"name":"look","arguments":{{"a":{MANY}', True),
        (f'{OPENING}{{"name":"look","arguments":{{"a":1', False),
        (MANY, False),
        (f"func {MANY}", False),
        (f"  {OPENING}", False),
    ],
)
def test_calls(text: str, expected: bool) -> None:
    """Where an answer may be text as well, only that of calls is JSON."""
    assert is_full(text, OPENING.encode()) is expected


def test_going_back() -> None:
    """By tokens, or to the start."""
    count = DigitCount(b"")
    for text in (b"[", MANY.encode(), b",", b'"'):
        count.feed(text)
    count.rollback(0)
    assert not count.is_full
    count.rollback(2)
    assert count.is_full
    count.reset()
    count.feed(b"1")
    assert not count.is_full


def test_which_answers_are_json() -> None:
    """By the grammars that are written here, none of which a client can write."""
    assert json_opening(json_schema_grammar({"type": "number"})) == b""
    for otherwise in (None, ANY_TEXT):
        assert json_opening(calls_grammar(ARGUMENTS, 2, otherwise)) == OPENING.encode()
    for grammar in (
        regex_grammar("[0-9]+"),
        gbnf_grammar('root ::= calls\ncalls ::= " "? "functools[" [0-9]+'),
        gbnf_grammar('root ::= "%json {}"'),
        ANY_TEXT,
    ):
        assert json_opening(grammar) is None
