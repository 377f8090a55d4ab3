"""Schemas: what would not be enforced is refused by keyword and path, and costs are bounded."""

import json
from contextlib import suppress
from typing import Any

import pytest

from phiserve.constraints.constraint import InvalidSchema, UnsupportedConstraint, write_path
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.keywords import MAX_RECURSIVE_REFERENCES
from unit.constraints.matching import passes

INTEGER: dict[str, Any] = {"type": "integer"}
TEXT: dict[str, Any] = {"type": "string"}
OBJECT: dict[str, Any] = {"type": "object"}
ARRAY: dict[str, Any] = {"type": "array"}
A = {"a": INTEGER}


def refusal(schema: Any) -> UnsupportedConstraint:
    with pytest.raises(UnsupportedConstraint) as caught:
        json_schema_grammar(schema)
    return caught.value


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (
            {"properties": A, "additionalProperties": {}, "patternProperties": {"b": {}}},
            ".additionalProperties",
        ),
        ({"allOf": [{"properties": A, "additionalProperties": {}}, {}]}, ".allOf[0].additionalProperties"),
        ({"required": ["a"], "anyOf": [{"patternProperties": {"b": {}}}]}, ".anyOf[0].patternProperties"),
        ({"properties": {"n" * 101: {}}, "additionalProperties": {}}, ".additionalProperties"),
        (OBJECT | {"propertyNames": {"enum": ["a"]}, "properties": A}, ".propertyNames"),
        (OBJECT | {"propertyNames": {"not": {}}}, ".propertyNames.not"),
        (OBJECT | {"propertyNames": {"format": "date"}}, ".propertyNames"),
        (OBJECT | {"propertyNames": {"$ref": "#/$defs/a"}, "$defs": A}, ".propertyNames"),
        (OBJECT | {"propertyNames": {"$ref": "#/nowhere"}}, ".propertyNames.$ref"),
        (OBJECT | {"patternProperties": {"^a": {}, "b$": {}}}, ".patternProperties"),
        (OBJECT | {"patternProperties": {"a": {}, "\\x61": {}}}, '.patternProperties["\\\\x61"]'),
        (OBJECT | {"minProperties": 2}, ".minProperties"),
        (ARRAY | {"uniqueItems": True}, ".uniqueItems"),
        (ARRAY | {"additionalItems": False}, ".additionalItems"),
        (ARRAY | {"prefixItems": [{}], "items": False, "minItems": 2}, ""),
        (TEXT | {"format": "regex"}, ".format"),
        (TEXT | {"format": "regex", "pattern": "a"}, ".format"),
        (TEXT | {"pattern": "a^b"}, ".pattern"),
        ({"properties": {"a": TEXT | {"pattern": "\\bb"}}}, ".properties.a.pattern"),
        (
            OBJECT | {"properties": {"a": TEXT | {"minLength": 3, "maxLength": 2}}, "required": ["a"]},
            ".required",
        ),
        ({"oneOf": [INTEGER, {"type": "number"}]}, ".oneOf[1]"),
        ({"oneOf": [{"const": 1}, {"const": 1.0}]}, ".oneOf[1]"),
        ({"oneOf": [{"const": True}, {"type": ["integer", "boolean"]}]}, ".oneOf[1]"),
        (
            {"anyOf": [INTEGER | {"minimum": 3, "exclusiveMaximum": 3}], "type": "integer"},
            ".anyOf[0].minimum",
        ),
        (INTEGER | {"multipleOf": 5, "maximum": -5}, ".multipleOf"),
        ({"allOf": [TEXT, INTEGER]}, ".allOf"),
        ({"type": "string", "const": 1}, ".type"),
    ],
)
def test_a_keyword_is_refused_where_it_would_not_be_enforced(schema: dict[str, Any], path: str) -> None:
    """By us, or by the library, whose sentence is led to the first schema that it may be about."""
    error = refusal(schema)
    assert not isinstance(error, InvalidSchema)
    assert write_path(error.path) == path


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"$ref": "#"}, ".$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, ".$ref"),
        ({"anyOf": [INTEGER, {"allOf": [{"$ref": "#"}]}]}, ".anyOf[1].allOf[0].$ref"),
        ({"$ref": "#/nowhere"}, ".$ref"),
        ({"$ref": "#/properties"}, ".$ref"),
        ({"$ref": "https://example.com/schema.json"}, ".$ref"),
        ({"anyOf": [{"$ref": "other.json#/a"}]}, ".anyOf[0].$ref"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"], **OBJECT}, ".properties.a.$ref"),
        (ARRAY | {"items": {"$ref": "#"}, "minItems": 1}, ".items.$ref"),
        (
            ARRAY | {"items": {"allOf": [{"$ref": "#"}, {"maxItems": 3}]}, "minItems": 1},
            ".items.allOf[0].$ref",
        ),
        (
            OBJECT | {"patternProperties": {"a": {"$ref": "#"}}, "minProperties": 1},
            ".patternProperties.a.$ref",
        ),
    ],
)
def test_references_lead_somewhere_and_to_an_end(schema: dict[str, Any], path: str) -> None:
    """Those that do not are named, instead of answers that never end or have no first token."""
    assert write_path(refusal(schema).path) == path


@pytest.mark.parametrize(
    "schema",
    [
        OBJECT | {"properties": {"child": {"$ref": "#"}, "value": INTEGER}, "required": ["value"]},
        {"anyOf": [ARRAY | {"items": {"$ref": "#"}, "minItems": 1}, INTEGER]},
        {
            "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
            "discriminator": {"propertyName": "k"},
            "$defs": {
                "a": OBJECT | {"properties": {"k": {"type": "string", "const": "a"}}, "required": ["k"]},
                "b": OBJECT | {"properties": {"k": {"const": 1}, "c": {"$ref": "#"}}, "required": ["k"]},
            },
        },
        dict.fromkeys(("$schema", "$id", "$comment", "title", "description", "default", "x-a"), "s"),
        {"contentEncoding": "base64", "readOnly": True, "examples": [1], **TEXT},
        {"type": "string", "minimum": 3, "format": "date"},
        {"type": "integer", "format": "int32"},
        {"properties": {"a": TEXT | {"format": "path"}, "b": {"type": ["string", "null"], "format": "byte"}}},
        {"properties": {"a": False}, "required": ["b"]},
        TEXT | {"maxLength": 1000},
        OBJECT | {"properties": {"n" * 60: {}, "o": {}}, "additionalProperties": TEXT},
        TEXT | {"minLength": 10**6, "maxLength": 10**6},
        TEXT | {"pattern": "((a{100}){100}){100}"},
        TEXT | {"pattern": "(a*)*(x+x+)+y"},
        ARRAY | {"maxItems": 10_000},
        {"properties": {f"p{index}": TEXT | {"maxLength": 5000} for index in range(499)}},
        {"enum": [f"v{index}" for index in range(4000)]},
    ],
    ids=lambda schema: json.dumps(schema)[:40],
)
def test_what_is_served(schema: dict[str, Any]) -> None:
    """Recursion with an end, discriminated unions, annotations, keywords about other types, what is large."""
    json_schema_grammar(schema)


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (TEXT | {"maxLength": 10**7}, ".maxLength"),
        (TEXT | {"minLength": 2**40}, ".minLength"),
        (TEXT | {"pattern": "a{1,100000}"}, ".pattern"),
        (TEXT | {"pattern": "a" * 2000}, ".pattern"),
        (ARRAY | {"maxItems": 100_000}, ".maxItems"),
        ({"properties": {name: ARRAY | {"maxItems": 6000} for name in "ab"}}, ".properties.b.maxItems"),
        (OBJECT | {"maxProperties": 2**40}, ".maxProperties"),
        ({"properties": {f"p{index}": {} for index in range(1001)}}, ".properties"),
        ({"properties": {f"p{index}": {} for index in range(60)}, "minProperties": 1}, ".properties"),
        ({"oneOf": [{"const": index} for index in range(101)]}, ".oneOf"),
        ({"type": "number", "maximum": -1e300}, ".maximum"),
        ({"type": "number", "minimum": 1e-300}, ".minimum"),
        (INTEGER | {"minimum": 2**53 + 1}, ".minimum"),
        ({"enum": [1, {"a": [-(2**63)]}]}, ".enum"),
        ({"const": 2**70}, ".const"),
        (INTEGER | {"multipleOf": 99991}, ".multipleOf"),
        ({"allOf": [{"multipleOf": 997}, INTEGER | {"multipleOf": 991}]}, ".allOf[1].multipleOf"),
        (TEXT | {"allOf": [{"pattern": f"a.{{{index}}}b"} for index in range(11)]}, ".allOf[10].pattern"),
        ({"items": {"items": {"items": {"items": {}}}}, "default": json.loads("[" * 32 + "]" * 32)}, ""),
        ({"title": "x" * 70_000}, ""),
        (OBJECT | {"properties": {f"p{index}": {} for index in range(1000)}}, ".properties"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_bounds(schema: dict[str, Any], path: str) -> None:
    """What would take seconds to compile, or end the library's process, is refused where it stands."""
    assert write_path(refusal(schema).path) == path


@pytest.mark.parametrize(
    "schema",
    [
        *({"type": "nonsense"}, {"type": []}, {"type": ["string", "string"]}, {"properties": []}),
        *({"enum": []}, {"items": 5}, {"anyOf": []}, {"anyOf": {}}, {"required": True}, {"$ref": 1}),
        *({"minLength": -1}, {"minLength": "3"}, {"minItems": True}, {"exclusiveMinimum": True}),
        *({"multipleOf": 0}, {"pattern": 1}, {"format": 1}, {"prefixItems": [{}], "items": [{}]}),
        *({"const": float("nan")}, {"const": "\ud800"}),
    ],
)
def test_what_is_no_schema(schema: Any) -> None:
    """Is invalid, not unsupported."""
    assert isinstance(refusal(schema), InvalidSchema)


@pytest.mark.parametrize("key", ["x-guidance", "x-other"])
def test_the_library_takes_no_options_of_a_client(key: str) -> None:
    """At the root they would count: white space, unenforced keywords, `oneOf` as `anyOf`."""
    options = {key: {"lenient": True, "coerce_one_of": True, "whitespace_flexible": True}}
    assert passes(json_schema_grammar(OBJECT | {"properties": A} | options), '{"a":1}')
    assert not passes(json_schema_grammar(OBJECT | {"properties": A} | options), '{"a": 1}')
    assert refusal(ARRAY | {"uniqueItems": True} | options).path == ("uniqueItems",)
    assert refusal({"oneOf": [{}, {}]} | options).path == ("oneOf", 1)
    assert passes(json_schema_grammar({"properties": {key: INTEGER}}), f'{{"{key}":1}}')


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"properties": A}, '{"a":1}', '{"a":1,"\\u0061":"x"}'),
        ({"properties": A, "additionalProperties": TEXT}, '{"a":1,"b":"x"}', '{"a":1,"\\u0061":"x"}'),
        ({"properties": A, "patternProperties": {"^b": TEXT}}, '{"a":1,"b":"x"}', '{"\\u0061":"x"}'),
        ({"allOf": [{"properties": A}, {"properties": {"b": {}}}]}, '{"a":1,"b":2}', '{"a":1,"\\u0061":"x"}'),
        (
            {"$ref": "#/$defs/o", "required": ["a"], "$defs": {"o": {"properties": A}}},
            '{"a":1}',
            '{"\\u0061":1}',
        ),
        ({"patternProperties": {"^a": INTEGER}}, '{"ab":1}', '{"\\u0061":"x"}'),
        ({"propertyNames": {"enum": ["a"]}}, '{"a":1}', '{"\\u0062":1}'),
    ],
)
def test_a_described_name_does_not_come_again_spelt_otherwise(schema: Any, good: str, bad: str) -> None:
    """With an escape the library would take it for a name that is free."""
    grammar = json_schema_grammar(OBJECT | schema)
    assert passes(grammar, good)
    assert not passes(grammar, bad)


def test_ids_move_what_references_begin_at() -> None:
    """`#` is the nearest schema with an `$id`, at or above a reference."""
    inner = {"$id": "i", "$defs": {"k": TEXT}, "properties": {"a": {"$ref": "#/$defs/k"}}, **OBJECT}
    schema = {
        "$id": "r",
        "$defs": {"k": INTEGER},
        "properties": {"o": inner, "b": {"$ref": "#/$defs/k"}},
        **OBJECT,
    }
    grammar = json_schema_grammar(schema)
    assert passes(grammar, '{"o":{"a":"x"},"b":1}')
    assert not passes(grammar, '{"o":{"a":1}}')


@pytest.mark.parametrize(
    "text", ["<|user|>", "<|end|>hi", "%json {}", "start: x", 'a"b\\', "\x00\x1f\u2028é😀"]
)
def test_texts_of_constants_are_texts(text: str) -> None:
    """Whether they spell a control token, Lark or an escape."""
    schema = {"properties": {text: {"const": text}}, "required": [text], **OBJECT}
    assert passes(
        json_schema_grammar(schema), json.dumps({text: text}, separators=(",", ":"), ensure_ascii=False)
    )


@pytest.mark.parametrize("twice", [False, True])
def test_long_ways_of_references(twice: bool) -> None:
    """Neither nested calls nor all ways through them are gone: there are 2^200."""
    chain: dict[str, Any] = {
        f"d{index}": {"allOf": [{"$ref": f"#/$defs/d{index + 1}"}] * (1 + twice)} for index in range(200)
    }
    chain["d200"] = {"properties": A}
    with suppress(UnsupportedConstraint):
        json_schema_grammar({"$ref": "#/$defs/d0", "required": ["a"], "$defs": chain})


def test_places() -> None:
    """As a client would write them."""
    assert write_path(("properties", "a b", "anyOf", 0, "$ref")) == '.properties["a b"].anyOf[0].$ref'


@pytest.mark.parametrize("place", ["root", "nested"])
def test_as_many_optional_properties_as_a_step_can_hold(place: str) -> None:
    """One more is refused, wherever the object is; required ones do not count."""
    names = [f"p{index}" for index in range(510)]

    def wide(num_optional: int) -> dict[str, Any]:
        required = names[num_optional:]
        schema = OBJECT | {"properties": {name: {} for name in names}, "required": required}
        return schema if place == "root" else OBJECT | {"properties": {"x": schema}, "required": ["x"]}

    json_schema_grammar(wide(499))
    with pytest.raises(UnsupportedConstraint) as caught:
        json_schema_grammar(wide(500))
    assert caught.value.path[-1] == "properties"


@pytest.mark.parametrize("nested", [False, True])
def test_as_many_recursive_references_as_a_step_can_follow(nested: bool) -> None:
    """One more is refused by its path; references that do not lead back do not count."""

    def tree(references: int) -> dict[str, Any]:
        """Lists of lists of any of so many kinds, in several groups or in one."""
        list_ = {"type": "array", "items": {"$ref": "#/$defs/n"}}
        size = 50 if nested else references
        groups = [{"anyOf": [list_] * min(size, references - at)} for at in range(0, references, size)]
        leaves = {f"l{index}": {"$ref": "#/$defs/leaf"} for index in range(300)}
        kinds = [{"type": "null"}, OBJECT | {"properties": leaves}, *groups]
        return {"$defs": {"n": {"anyOf": kinds}, "leaf": {"type": "null"}}, "$ref": "#/$defs/n"}

    json_schema_grammar(tree(MAX_RECURSIVE_REFERENCES))
    with pytest.raises(UnsupportedConstraint, match="one of 201 references") as caught:
        json_schema_grammar(tree(MAX_RECURSIVE_REFERENCES + 1))
    assert caught.value.path[-1] == "$ref"
