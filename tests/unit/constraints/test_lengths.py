"""Whether forms say how long an answer may become."""

import pytest
from pydantic import JsonValue

from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.keywords import FORMATS
from phiserve.constraints.lengths import bounds_expression, bounds_schema
from unit.constraints.matching import passes

TEXT: JsonValue = {"type": "string"}
SHORT: JsonValue = {"type": "string", "maxLength": 9}


@pytest.mark.parametrize(
    "schema",
    [
        False,
        SHORT,
        {"enum": ["a", "b"]},
        {"const": {"a": "b"}},
        {"type": ["boolean", "null"]},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^[a-z]{3}$"},
        {"type": "integer", "minimum": 0, "exclusiveMaximum": 9},
        {"type": "array", "items": SHORT, "maxItems": 3},
        {"type": "array", "prefixItems": [SHORT], "items": False},
        {"type": "array", "items": [SHORT], "additionalItems": False},
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": False},
        {"type": "object", "properties": {"a": SHORT, "b": {"type": "null"}}},
        {"anyOf": [SHORT, {"type": "null"}]},
        {"type": "string", "allOf": [SHORT]},
    ],
)
def test_forms_that_state_a_length(schema: JsonValue) -> None:
    """Everything that may go on has a most."""
    assert bounds_schema(schema)


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        TEXT,
        {"type": "object"},
        {"type": "string", "minLength": 3},
        {"type": "string", "pattern": "^a+$"},
        {"type": "string", "pattern": "abc"},
        {"type": "string", "pattern": "^a|b$"},
        {"type": "number", "minimum": 0},
        {"type": "array", "items": SHORT},
        {"type": "array", "items": TEXT, "maxItems": 3},
        {"type": "array", "prefixItems": [SHORT]},
        {"type": "array", "items": [SHORT]},
        {"type": "object", "properties": {"a": TEXT}},
        {"type": "object", "properties": {"a": SHORT}, "additionalProperties": SHORT},
        {"type": "object", "properties": {"a": SHORT}, "patternProperties": {"^b": SHORT}},
        {"anyOf": [SHORT, TEXT]},
        {"maxLength": 9},
        {"$ref": "#/$defs/a", "$defs": {"a": SHORT}},
    ],
)
def test_forms_that_may_go_on(schema: JsonValue) -> None:
    """Something in them has no most, or it is not told here."""
    assert not bounds_schema(schema)


LONG = {
    "date-time": f"2020-01-01T00:00:00.{'1' * 999}Z",
    "time": f"00:00:00.{'1' * 999}Z",
    "duration": f"P{'1' * 999}D",
    "email": f"{'a' * 999}@b.co",
    "hostname": f"{'b.' * 999}co",
    "uri": f"http://a/{'b' * 999}",
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name: str) -> None:
    """Those by which a text may be as long as it likes state no length."""
    schema: dict[str, JsonValue] = {"type": "string", "format": name}
    assert bounds_schema(schema) is (name not in LONG)
    assert bounds_schema(schema | {"maxLength": 99})
    if name in LONG:
        assert passes(json_schema_grammar(schema), f'"{LONG[name]}"')


@pytest.mark.parametrize(("text", "expected"), [("a|bc{2,3}", True), ("a*", False), ("a{2,}", False)])
def test_expressions(text: str, expected: bool) -> None:
    """By their repetitions."""
    assert bounds_expression(text) is expected
