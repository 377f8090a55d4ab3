"""Schemas as they are written for the grammar library: values that nothing is said of come to an end."""

import json
from typing import Any

import pytest

from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.keywords import MAX_OPEN_DEPTH
from unit.constraints.matching import passes

OBJECT: dict[str, Any] = {"type": "object"}


def lists(depth: int) -> str:
    """So many lists within one another."""
    return "[" * depth + "]" * depth


def objects(depth: int) -> str:
    """So many objects within one another, the innermost empty."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


OPEN_VALUES: list[tuple[dict[str, Any], str]] = [
    ({}, "%s"),
    ({"title": "any"}, "%s"),
    ({"minLength": 2}, "%s"),
    (OBJECT | {"properties": {"v": {}}}, '{"v":%s}'),
    (OBJECT | {"properties": {"v": True}}, '{"v":%s}'),
    (OBJECT | {"properties": {"v": {"type": ["array", "object", "null"]}}}, '{"v":%s}'),
    (OBJECT | {"properties": {"v": {"anyOf": [OBJECT, {"type": "array"}]}}}, '{"v":%s}'),
    (OBJECT | {"properties": {"b": {}}, "additionalProperties": True}, '{"v":%s}'),
    ({"type": "array", "items": {"$ref": "#/$defs/a"}, "$defs": {"a": {}}}, "[%s]"),
    ({"type": "array", "prefixItems": [{"type": "null"}, {}]}, "[null,%s]"),
]


@pytest.mark.parametrize(("schema", "around"), OPEN_VALUES, ids=str)
@pytest.mark.parametrize("nested", [lists, objects])
def test_open_values_are_nested_to_a_depth(schema: dict[str, Any], around: str, nested: Any) -> None:
    """A value that a schema leaves open may be of 16 lists or objects within one another, and not of 18."""
    grammar = json_schema_grammar(schema)
    deep = MAX_OPEN_DEPTH - 1
    assert passes(grammar, around % nested(deep))
    assert not passes(grammar, around % nested(deep + 3))


def test_any_object() -> None:
    """The root counts: 16 levels in all."""
    grammar = json_schema_grammar(OBJECT)
    assert passes(grammar, objects(MAX_OPEN_DEPTH))
    assert passes(grammar, f'{{"a":{lists(MAX_OPEN_DEPTH - 1)}}}')
    assert not passes(grammar, f'{{"a":{lists(MAX_OPEN_DEPTH)}}}')


@pytest.mark.parametrize("schema", [{}, OBJECT], ids=str)
@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '{"a":1, "b":2}',
        '{ "a":1}',
        '{"a":1 }',
        '{"a":[1, 2]}',
        '{"a":[ ]}',
        '{"a":{"b":1, "c":2}}',
    ],
)
def test_no_white_space(schema: dict[str, Any], text: str) -> None:
    """None is allowed between the parts of an answer, not after commas either, at any level."""
    grammar = json_schema_grammar(schema)
    assert not passes(grammar, text)
    assert not passes(grammar, text + "\n")
    assert passes(grammar, json.dumps(json.loads(text), separators=(",", ":")))


def test_a_schema_that_refers_to_itself_is_as_deep_as_it_says() -> None:
    """What is described is not open."""
    grammar = json_schema_grammar({"type": "array", "items": {"$ref": "#"}})
    assert passes(grammar, lists(50))
