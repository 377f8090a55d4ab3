"""Answers become cells: of a schema's properties, or whole; none of them a formula."""

import json
from typing import Any

import pytest

from phiserve.cli.batch.cells import CUT_OFF, cell, cells, columns_of, failed_row, row_of
from phiserve.cli.batch.work import Outcome
from phiserve.errors import StartupError

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"title": {}, "authors": {}, "year": {}}}


def answered(content: str | None, finish: str = "stop") -> Outcome:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return Outcome(200, "r", json.dumps({"id": "c", "choices": [choice]}).encode())


def test_columns() -> None:
    """Properties of an object, or one for the answer."""
    assert columns_of(SCHEMA).all == ("file", "title", "authors", "year", "error")
    others: list[Any] = [None, {"type": "string"}, {"type": "object"}, {"properties": {}}, {"properties": 1}]
    for schema in others:
        assert columns_of(schema).all == ("file", "answer", "error")
    with pytest.raises(StartupError, match="Two columns of the table would be called 'error'"):
        columns_of({"properties": {"error": {}}})


def test_rows_of_a_schema() -> None:
    """A value a column: nested ones as JSON, nothing for what is null or missing."""
    columns = columns_of(SCHEMA)
    given = {"title": 'Über "x",\ny', "authors": ["a", "ö"], "year": None, "more": 1}
    row = row_of("a.jpg", answered(json.dumps(given)), columns)
    assert cells(row, columns.all) == ["a.jpg", 'Über "x",\ny', '["a", "ö"]', "", ""]
    other = row_of("b.jpg", answered('{"title": true, "year": -1.5}'), columns)
    assert cells(other, columns.all) == ["b.jpg", "true", "", "-1.5", ""]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (answered('{"title": "x', "length"), CUT_OFF),
        (answered("none"), "the answer is no JSON object"),
        (answered(None), "the answer is no JSON object"),
        (answered("[]"), "the answer is no JSON object"),
        (Outcome(400, "r", b'{"error": {"message": "too\\nlarge"}}'), "too large"),
        (Outcome(400, "r", b'{"error": {"message": "a[0].b: is odd", "param": "a[0].b"}}'), "is odd"),
        (Outcome(500, "r", b"[]"), "an unexpected answer with status 500"),
        (Outcome(200, "r", b'{"choices": []}'), "an unexpected answer with status 200"),
    ],
)
def test_rows_that_failed(outcome: Outcome, reason: str) -> None:
    """They have an error, and nothing else."""
    assert row_of("a.jpg", outcome, columns_of(SCHEMA)) == failed_row("a.jpg", reason)


def test_rows_of_plain_answers() -> None:
    """The text; where it was cut off, as far as it goes and with an error."""
    columns = columns_of(None)
    assert cells(row_of("a", answered("A\ncat"), columns), columns.all) == ["a", "A\ncat", ""]
    assert cells(row_of("a", answered("A c", "length"), columns), columns.all) == ["a", "A c", CUT_OFF]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+1", "'+1+1"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("＝1+1", "'＝1+1"),  # noqa: RUF001 - spreadsheets know the wide form
        ("-5", "-5"),
        ("+49", "+49"),
        ("-1,234.50", "-1,234.50"),
        ("a=1", "a=1"),
        (" =1", " =1"),
        ("'=1", "'=1"),
        ("", ""),
    ],
)
def test_formulas(text: str, written: str) -> None:
    """What a spreadsheet would compute is a text; a number stays one."""
    assert cell(text) == written
