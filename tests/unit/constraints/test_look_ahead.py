"""What stands for a pattern with look-ahead matches the same texts, or fewer where that is said."""

import itertools
import re
from decimal import Decimal
from typing import Annotated

import pytest
from pydantic import Field, JsonValue, TypeAdapter
from pydantic.fields import FieldInfo

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.look_ahead import HOSTNAME, WITHOUT_LOOK_AHEAD, without_look_ahead
from unit.constraints.matching import passes

EMAIL, DURATION, _ = WITHOUT_LOOK_AHEAD
DECIMAL = r"^(?!^[-+.]*$)[+-]?0*"
PLACES = rf"{DECIMAL}\d*\.?\d{{0,2}}0*$"
DIGITS = rf"{DECIMAL}(?:\d{{0,2}}|(?=[\d.]{{1,3}}0*$)\d*\.\d*0*$)"
BOTH = rf"{DECIMAL}(?:\d{{0,1}}|(?=[\d.]{{1,4}}0*$)\d{{0,1}}\.\d{{0,2}}0*$)"


def texts(around: str, pieces: str) -> list[str]:
    """Every text of up to six of these pieces."""
    return [around % "".join(text) for count in range(7) for text in itertools.product(pieces, repeat=count)]


@pytest.mark.parametrize(
    ("given", "around", "pieces"),
    [
        (EMAIL, "%s.com", "a+'.-@"),
        (DURATION, "P%s", "T1YMWDH.S"),
        (HOSTNAME, "%s", "a-.Z9"),
        (rf"{DECIMAL}\d*\.?\d*$", "%s", "01+-.e"),
        (rf"{DECIMAL}[0-9]*\.?[0-9]*$", "%s", "01+-."),
        (PLACES, "%s", "01+-."),
        (PLACES.replace("{0,2}", "{0,0}"), "%s", "01+-."),
    ],
)
def test_what_stands_for_it_matches_the_same(given: str, around: str, pieces: str) -> None:
    """As far as every text of a few pieces tells."""
    before, after = re.compile(given), re.compile(without_look_ahead(given))
    assert "(?=" not in after.pattern
    assert "(?!" not in after.pattern
    judged = [(bool(before.search(text)), bool(after.search(text))) for text in texts(around, pieces)]
    assert judged.count((True, True)) > 50
    assert {first == second for first, second in judged} == {True}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (DIGITS, Field(max_digits=2)),
        (BOTH, Field(max_digits=3, decimal_places=2)),
    ],
)
def test_numbers_of_so_many_digits(given: str, meant: FieldInfo) -> None:
    """Pydantic's pattern lets texts through that only begin as numbers; here they are the numbers meant.

    Zeros at their ends do not count.
    """
    before, after = re.compile(given), re.compile(without_look_ahead(given))
    adapter: TypeAdapter[Decimal] = TypeAdapter(Annotated[Decimal, meant])
    every = texts("%s", "01+-.")
    matching = [text for text in every if after.search(text)]
    assert all(before.search(text) for text in matching)
    assert all(adapter.validate_python(text) is not None for text in matching)
    assert len(matching) > 50


def test_numbers_below_one() -> None:
    """Where no digit may stand before the point, zero may."""
    after = re.compile(without_look_ahead(BOTH.replace(r"\d{0,1}", r"\d{0,0}")))
    assert [bool(after.search(text)) for text in (".12", "-0.120", "0", "1.2", ".")] == [True] * 3 + [
        False
    ] * 2


def test_other_patterns_stay_as_they_are() -> None:
    """What has no look-ahead, and what is not known."""
    for pattern in ("^a+$", "(?=a)", DECIMAL, DIGITS.replace("{0,2}", "{0,99}")):
        assert without_look_ahead(pattern) == pattern


def test_a_length_is_not_held_beside_names() -> None:
    """So that a pattern of names that asks for one is refused."""
    with pytest.raises(UnsupportedConstraint, match="look-ahead"):
        json_schema_grammar({"type": "object", "patternProperties": {HOSTNAME: {}}})
    numbers: dict[str, JsonValue] = {"type": "object", "patternProperties": {PLACES: {"type": "integer"}}}
    assert passes(json_schema_grammar(numbers), '{"1.25":1}')
