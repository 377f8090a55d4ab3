"""An answer about an image as the cells of a table's row."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from pydantic import JsonValue, TypeAdapter

from phiserve.cli.batch.work import Outcome
from phiserve.errors import StartupError

FILE, ANSWER, ERROR = "file", "answer", "error"
"""Columns: the first one, the one of answers without a schema, and the last one."""

CUT_OFF = "the answer was cut off at its length limit"

_RISKY = re.compile(r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that spreadsheets take for a formula (OWASP, "CSV Injection"), wide forms included."""

_Object = TypeAdapter(dict[str, JsonValue])

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns between file and error. `properties`: whether they are those of a schema."""

    names: tuple[str, ...]
    properties: bool

    @property
    def all(self) -> tuple[str, ...]:
        """Every column's name."""
        return (FILE, *self.names, ERROR)


class _Message(Struct, frozen=True):
    """What the model wrote."""

    content: str | None = None


class _Choice(Struct, frozen=True):
    """An answer, and why it ended."""

    message: _Message
    finish_reason: str


class _Completion(Struct, frozen=True):
    """What is needed of a chat completion."""

    choices: tuple[_Choice, ...]


class _Error(Struct, frozen=True):
    """What a server says is wrong, and with which value of the request."""

    message: str
    param: str | None = None


class _Failure(Struct, frozen=True):
    """What is needed of OpenAI's error."""

    error: _Error


Row = dict[str, JsonValue]
"""Values by the names of columns. A value that is missing is null."""


def columns_of(schema: dict[str, JsonValue] | None) -> Columns:
    """A column for each property of an object's schema; else one for the answer. Raises StartupError."""
    properties = None if schema is None else schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return Columns((ANSWER,), properties=False)
    columns = Columns(tuple(properties), properties=True)
    check_names(columns)
    return columns


def check_names(columns: Columns) -> None:
    """Raises StartupError where two columns would have the same name."""
    twice = next((name for name, count in Counter(columns.all).items() if count > 1), None)
    if twice is not None:
        raise StartupError(f"Two columns of the table would be called {twice!r}")


def row_of(file: str, outcome: Outcome, columns: Columns) -> Row:
    """The row of an image; what failed is in its error."""
    if outcome.failed:
        return failed_row(file, reason_of_failure(outcome))
    try:
        (choice,) = msgspec.json.decode(outcome.body, type=_Completion).choices
    except ValueError:  # msgspec's errors are, too
        return failed_row(file, reason_of_failure(outcome))
    text = choice.message.content or ""
    cut = choice.finish_reason == "length"
    if not columns.properties:
        return {FILE: file, ANSWER: text, ERROR: CUT_OFF if cut else None}
    if cut:
        return failed_row(file, CUT_OFF)
    try:
        values = _Object.validate_json(text)
    except ValueError:
        return failed_row(file, "the answer is no JSON object")
    return {FILE: file, **{name: values.get(name) for name in columns.names}, ERROR: None}


def reason_of_failure(outcome: Outcome) -> str:
    """What the server says is wrong, or that what it says is not understood.

    Where in the request, which nobody has written who reads a table, is left out.
    """
    try:
        error = msgspec.json.decode(outcome.body, type=_Failure).error
    except ValueError:
        return f"an unexpected answer with status {outcome.status}"
    return error.message.removeprefix(f"{error.param}: ")


def failed_row(file: str, reason: str) -> Row:
    """The row of an image about which there is no answer."""
    return {FILE: file, ERROR: " ".join(reason.split())}


def cells(row: Row, names: Sequence[str]) -> list[str]:
    """A row as a spreadsheet is to read it: nested values as JSON, nothing for null, no formulas."""
    return [cell(row.get(name)) for name in names]


def cell(value: JsonValue) -> str:
    """One value.

    A text that a spreadsheet would take for a formula gets an apostrophe before it: whoever writes on a page
    would otherwise write formulas into the table of who scans it. Numbers stay as they are.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    is_risky = _RISKY.match(value) is not None and _NUMBER.fullmatch(value) is None
    return f"'{value}" if is_risky else value
