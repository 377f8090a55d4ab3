"""Schemas: what would not be enforced is refused by keyword and place."""

from typing import Any

import pytest

from phiserve.constraints.json_schema import check_schema, write_place
from phiserve.constraints.value_types import InvalidSchema, UnsupportedSchema

INTEGER: dict[str, Any] = {"type": "integer"}
TEXT: dict[str, Any] = {"type": "string"}


def refusal(schema: Any) -> InvalidSchema:
    with pytest.raises(InvalidSchema) as caught:
        check_schema(schema)
    return caught.value


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        *[
            ("not", {}),
            ("if", {}),
            ("then", {}),
            ("else", {}),
            ("dependentRequired", {}),
            ("dependentSchemas", {}),
        ],
        *[("uniqueItems", True), ("contains", {}), ("minContains", 1), ("maxContains", 1), ("multipleOf", 2)],
        *[
            ("unevaluatedProperties", False),
            ("unevaluatedItems", False),
            ("additionalItems", False),
            ("dependencies", {}),
        ],
        *[("$anchor", "a"), ("$dynamicRef", "#"), ("contentEncoding", "base64"), ("minLenght", 2)],
    ],
)
def test_a_keyword_that_is_not_enforced_is_named(keyword: str, value: Any) -> None:
    """With its place, however deep it stands."""
    schema = {
        "type": "object",
        "properties": {"a": {"anyOf": [INTEGER, {"type": "array", "items": {keyword: value}}]}},
    }
    error = refusal(schema)
    assert isinstance(error, UnsupportedSchema)
    assert write_place(error.place) == f".properties.a.anyOf[1].items.{keyword}"
    assert repr(keyword) in error.message


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"$ref": "#/$defs/a", "minLength": 2, "$defs": {"a": TEXT}}, ".minLength"),
        ({"type": "object", "properties": {}, "anyOf": [{}]}, ".type"),
        ({"enum": [1], "minimum": 2}, ".minimum"),
        ({"type": "string", "enum": ["a", 1]}, ".enum[1]"),
        ({"type": "string", "const": 1}, ".const"),
        ({"minLength": 2}, ".minLength"),
        ({"required": ["a"]}, ".required"),
        ({"type": "object", "required": ["a"]}, ".required[0]"),
        ({"properties": {"a": {}}, "additionalProperties": {}}, ".additionalProperties"),
        ({"type": "object", "patternProperties": {"a": {}, "b": {}}}, ".patternProperties"),
        ({"type": "object", "patternProperties": {"a": {}}, "properties": {"a": {}}}, ".patternProperties"),
        ({"type": "object", "propertyNames": {"enum": ["a"]}, "properties": {"a": {}}}, ".propertyNames"),
        ({"type": "object", "propertyNames": {"not": {}}}, ".propertyNames.not"),
        (
            {"type": "object", "propertyNames": {"$ref": "#/$defs/a"}, "$defs": {"a": INTEGER}},
            ".propertyNames.$ref",
        ),
        ({"type": "object", "propertyNames": {"$ref": "#/nowhere"}}, ".propertyNames.$ref"),
        ({"type": "object", "minProperties": 1}, ".minProperties"),
        ({"type": "array", "prefixItems": [{}], "minItems": 2}, ".minItems"),
        ({"type": "array", "prefixItems": [{}, {}], "maxItems": 1}, ".maxItems"),
        ({"type": "array", "items": [{}]}, ".items"),
        ({**TEXT, "pattern": "a", "maxLength": 2}, ".maxLength"),
        ({**TEXT, "format": "date", "pattern": "a"}, ".pattern"),
        ({**TEXT, "format": "regex"}, ".format"),
        ({**TEXT, "pattern": '"'}, ".pattern"),
        ({**TEXT, "pattern": "a^b"}, ".pattern"),
        ({"allOf": [TEXT, {}]}, ".allOf"),
        ({"oneOf": [INTEGER, {"type": "number"}]}, ".oneOf[1]"),
        ({"oneOf": [{"const": 1}, {"const": 1.0}]}, ".oneOf[1]"),
        ({"oneOf": [{"const": True}, {"type": ["integer", "boolean"]}]}, ".oneOf[1]"),
        ({"type": "integer", "minimum": 0.5}, ".minimum"),
        ({"type": "number", "minimum": 0.0000001}, ".minimum"),
        ({"type": "number", "minimum": 2, "exclusiveMaximum": 2}, ".exclusiveMaximum"),
        ({"properties": {"a": False}}, ".properties.a"),
        ({"const": 2**63}, ".const"),
    ],
)
def test_a_keyword_is_refused_where_it_would_not_be_enforced(schema: dict[str, Any], place: str) -> None:
    """The library looks at one keyword of several, or at none; what it would pass over is named."""
    error = refusal(schema)
    assert isinstance(error, UnsupportedSchema)
    assert write_place(error.place) == place


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"$ref": "#"}, ".$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, ".$ref"),
        ({"anyOf": [INTEGER, {"allOf": [{"$ref": "#"}]}]}, ".anyOf[1].allOf[0].$ref"),
        ({"$ref": "#/nowhere"}, ".$ref"),
        ({"$ref": "#/properties"}, ".$ref"),
        ({"$ref": "https://example.com/schema.json"}, ".$ref"),
        ({"anyOf": [{"$ref": "other.json#/a"}]}, ".anyOf[0].$ref"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": INTEGER, "a~1b": TEXT}}, ".$ref"),
        (
            {"properties": {"a": {"anyOf": [INTEGER]}, "b": {"$ref": "#/properties/a/anyOf/0"}}},
            ".properties.b.$ref",
        ),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]}, ".properties.a.$ref"),
        ({"type": "array", "items": {"$ref": "#"}, "minItems": 1}, ".items.$ref"),
    ],
)
def test_references_lead_somewhere_and_to_an_end(schema: dict[str, Any], place: str) -> None:
    """Those that do not are named, instead of hanging the engine or never ending an answer."""
    assert write_place(refusal(schema).place) == place


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"child": {"$ref": "#"}, "value": INTEGER}, "required": ["value"]},
        {"anyOf": [{"type": "array", "items": {"$ref": "#"}, "minItems": 1}, INTEGER]},
        {"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "discriminator": {"propertyName": "k"}, "$defs": {
            "a": {"type": "object", "properties": {"k": {"type": "string", "const": "a"}}, "required": ["k"]},
            "b": {"type": "object", "properties": {"k": {"type": "string", "const": "b"}}, "required": ["k"]},
        }},
        {"$schema": "s", "$id": "i", "$comment": "c", "title": "t", "description": "d", "default": 1, "examples": [1], "x-a": 1},
        {"type": "string", "minimum": 3},
    ],
)  # fmt: skip
def test_what_is_served(schema: dict[str, Any]) -> None:
    """Recursion with an end, discriminated unions, annotations, keywords about other types."""
    check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({**TEXT, "maxLength": 100_000}, ".maxLength"),
        ({**TEXT, "minLength": 100_000}, ".minLength"),
        ({**TEXT, "pattern": "a{1,100000}"}, ".pattern"),
        ({**TEXT, "pattern": "((a{100}){100}){100}"}, ".pattern"),
        ({**TEXT, "pattern": "(a|b+)*c"}, ".pattern"),
        ({"type": "array", "maxItems": 100_000}, ".maxItems"),
        ({"type": "object", "maxProperties": 2**40}, ".maxProperties"),
        ({"properties": {f"p{index}": {**TEXT, "maxLength": 100} for index in range(11)}}, ""),
        ({"properties": {f"p{index}": {} for index in range(60)}, "minProperties": 2}, ""),
        ({"properties": {f"p{index}": {} for index in range(501)}}, ".properties"),
        ({"oneOf": [{"const": index} for index in range(101)]}, ".oneOf"),
        ({"type": "number", "maximum": 1e300}, ".maximum"),
    ],
)
def test_bounds(schema: dict[str, Any], place: str) -> None:
    """What would take seconds to compile, or milliseconds a token to follow, is refused where it stands."""
    assert write_place(refusal(schema).place) == place


@pytest.mark.parametrize(
    "schema",
    [{"type": "nonsense"}, {"type": []}, {"properties": []}, {"enum": []}, {"items": 5}, {"anyOf": []}],
)
def test_what_is_no_schema(schema: Any) -> None:
    """Is invalid, not unsupported."""
    assert not isinstance(refusal(schema), UnsupportedSchema)


def test_places() -> None:
    """As a client would write them."""
    assert write_place(("properties", "a b", "anyOf", 0, "$ref")) == '.properties["a b"].anyOf[0].$ref'
