"""Schemas as the engine gets them: for every keyword that is called enforced, it is shown that it is, and any
other is refused.
"""

import json
import random
import re
from typing import Any

import jsonschema
import jsonschema_specifications
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.keywords import ANNOTATIONS, FORMATS, KEYWORDS, REFUSED
from unit.constraints.matching import passes, sample, write

INTEGER: dict[str, Any] = {"type": "integer"}
TEXT: dict[str, Any] = {"type": "string"}
OBJECT: dict[str, Any] = {"type": "object"}
ARRAY: dict[str, Any] = {"type": "array"}
NUMBER: dict[str, Any] = {"type": "number"}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("type", TEXT, '"a"', "1"),
    ("type", {"type": ["string", "null"], "maxLength": 1}, "null", "1"),
    ("enum", {"enum": ["a", 1.5, None, {"b": [True]}]}, '{"b":[true]}', '"b"'),
    ("enum", {"enum": ["a", "abc"], "minLength": 2}, '"abc"', '"a"'),
    ("const", {"const": "a/b é"}, '"a/b é"', '"b"'),
    (
        "$ref",
        {"properties": {"a": INTEGER, "b": {"$ref": "#/properties/a"}}, "required": ["b"]},
        '{"b":1}',
        '{"b":"x"}',
    ),
    ("$ref", ARRAY | {"items": {"$ref": "#"}}, "[[],[[]]]", "[1]"),
    ("$ref", {"$ref": "#/$defs/a", "maxLength": 2, "$defs": {"a": TEXT}}, '"ab"', '"abc"'),
    ("$ref", {"$ref": "#/$defs/a~1%25", "$defs": {"a/%": INTEGER}}, "1", '"x"'),
    ("$ref", {"anyOf": [INTEGER, ARRAY | {"items": {"$ref": "#/anyOf/0"}}]}, "[1]", '["x"]'),
    ("$defs", {"$ref": "#/$defs/a", "$defs": {"a": INTEGER}}, "1", '"x"'),
    ("definitions", {"$ref": "#/definitions/a", "definitions": {"a": INTEGER}}, "1", '"x"'),
    ("anyOf", {"anyOf": [INTEGER, TEXT]}, '"a"', "null"),
    ("anyOf", TEXT | {"anyOf": [{"maxLength": 2}, INTEGER]}, '"ab"', "3"),
    ("oneOf", {"oneOf": [INTEGER, TEXT]}, "1", "1.5"),
    ("oneOf", {"oneOf": [{"const": 1}, {"enum": [2, 3]}]}, "3", "4"),
    ("allOf", {"allOf": [INTEGER, {"minimum": 3}], "maximum": 5}, "3", "2"),
    ("properties", OBJECT | {"properties": {"a": INTEGER}}, '{"a":1}', '{"a":"x"}'),
    ("properties", {"properties": {"a": False, "b": True}, **OBJECT}, '{"b":1}', '{"a":1}'),
    ("required", OBJECT | {"properties": {"a": INTEGER, "b": {}}, "required": ["b"]}, '{"b":[]}', '{"a":1}'),
    ("required", OBJECT | {"required": ["b"]}, '{"b":[]}', '{"a":1}'),
    ("additionalProperties", OBJECT | {"additionalProperties": INTEGER}, '{"a":1}', '{"a":"x"}'),
    (
        "additionalProperties",
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
        '{"a":1}',
        '{"b":1}',
    ),
    (
        "additionalProperties",
        OBJECT | {"properties": {"ab": INTEGER}, "additionalProperties": TEXT},
        '{"ab":1,"a":"x","":"y"}',
        '{"ab":1,"b":2}',
    ),
    ("patternProperties", OBJECT | {"patternProperties": {"^k\\d$": INTEGER}}, '{"k1":1}', '{"k1":"x"}'),
    ("patternProperties", OBJECT | {"patternProperties": {"k": INTEGER}}, '{"aka":1}', '{"aka":"x"}'),
    ("propertyNames", OBJECT | {"propertyNames": {"enum": ["a", "b"]}}, '{"b":[1]}', '{"c":1}'),
    ("propertyNames", OBJECT | {"propertyNames": {"enum": ["a"]}, "required": ["a"]}, '{"a":[1]}', "{}"),
    (
        "propertyNames",
        OBJECT | {"propertyNames": {"maxLength": 2}, "additionalProperties": INTEGER},
        '{"ab":1}',
        '{"abc":1}',
    ),
    (
        "propertyNames",
        OBJECT | {"$defs": {"k": {"const": "a."}}, "propertyNames": {"$ref": "#/$defs/k"}},
        '{"a.":1}',
        '{"ab":1}',
    ),
    ("propertyNames", OBJECT | {"propertyNames": {"pattern": "^a"}, "required": ["ab"]}, '{"ab":1}', "{}"),
    ("minProperties", OBJECT | {"minProperties": 1}, '{"b":1}', "{}"),
    ("minProperties", OBJECT | {"properties": {"a": {}, "b": {}}, "minProperties": 1}, '{"b":1}', "{}"),
    (
        "maxProperties",
        OBJECT | {"properties": {"a": {}, "b": {}}, "maxProperties": 1},
        '{"b":1}',
        '{"a":1,"b":1}',
    ),
    ("maxProperties", OBJECT | {"maxProperties": 1}, '{"b":1}', '{"a":1,"b":1}'),
    ("items", ARRAY | {"items": INTEGER}, "[1,2]", '[1,"a"]'),
    ("items", ARRAY | {"prefixItems": [INTEGER], "items": False}, "[1]", "[1,2]"),
    ("items", {"$schema": DRAFT_7, "type": "array", "items": [INTEGER, TEXT]}, '[1,"a"]', '["a"]'),
    (
        "additionalItems",
        {"$schema": DRAFT_7, "items": [INTEGER], "additionalItems": TEXT, "type": "array"},
        '[1,"a"]',
        "[1,2]",
    ),
    ("prefixItems", ARRAY | {"prefixItems": [INTEGER, {}], "items": TEXT}, '[1,[],"a"]', '["a",1]'),
    ("minItems", ARRAY | {"minItems": 2.0}, "[1,null]", "[1]"),
    ("maxItems", ARRAY | {"items": INTEGER, "maxItems": 2}, "[1,2]", "[1,2,3]"),
    ("uniqueItems", ARRAY | {"items": INTEGER, "uniqueItems": False}, "[1,1]", '["a"]'),
    ("minLength", TEXT | {"minLength": 2}, '"éé"', '"é"'),
    ("minLength", {"minLength": 2}, "1", '"a"'),
    ("minLength", TEXT | {"minLength": 200}, f'"{"a" * 200}"', f'"{"a" * 199}"'),
    ("maxLength", TEXT | {"maxLength": 2}, '"😀é"', '"abc"'),
    ("maxLength", TEXT | {"maxLength": 2}, '"\\n\\""', '"\\n\\"x"'),
    ("maxLength", TEXT | {"maxLength": 2}, '"a"', '"a\t"'),
    ("maxLength", TEXT | {"maxLength": 300}, f'"{"a" * 300}"', f'"{"a" * 301}"'),
    ("pattern", TEXT | {"pattern": "^[a-c]+\\d{2}$"}, '"abc12"', '"abc1"'),
    ("pattern", TEXT | {"pattern": "b\\d"}, '"ab1c"', '"a"'),
    ("pattern", TEXT | {"pattern": "^a|b$"}, '"xb"', '"bx"'),
    ("pattern", TEXT | {"pattern": "^é.*$"}, '"é!"', '"é"!"'),
    ("pattern", TEXT | {"pattern": "^a+$", "maxLength": 3}, '"aaa"', '"aaaa"'),
    ("pattern", TEXT | {"pattern": "^1", "format": "date"}, '"1999-01-01"', '"2999-01-01"'),
    ("pattern", TEXT | {"pattern": "^c", "format": "cuid"}, '"c1"', '"d1"'),
    ("format", TEXT | {"format": "date"}, '"2026-01-31"', '"2026-13-31"'),
    ("minimum", INTEGER | {"minimum": -3}, "-3", "-4"),
    ("minimum", NUMBER | {"minimum": 0.5}, "0.5", "0.49"),
    ("maximum", INTEGER | {"maximum": 2**53}, "9007199254740992", "9007199254740993"),
    ("maximum", NUMBER | {"maximum": 1}, "-7.25", "1.000001"),
    ("exclusiveMinimum", INTEGER | {"exclusiveMinimum": 3}, "4", "3"),
    ("exclusiveMaximum", NUMBER | {"exclusiveMaximum": 1}, "0.999999", "1"),
    ("multipleOf", INTEGER | {"multipleOf": 5, "maximum": 12}, "10", "11"),
    ("multipleOf", NUMBER | {"multipleOf": 0.25}, "1.50", "1.30"),
]

COMBINED: list[tuple[dict[str, Any], str, str]] = [
    (
        {
            "allOf": [
                OBJECT | {"properties": {"a": INTEGER}, "required": ["a"]},
                OBJECT | {"properties": {"b": TEXT}, "required": ["b"]},
            ]
        },
        '{"a":1,"b":"x"}',
        '{"a":1,"b":"x","c":1}',
    ),
    (
        {"$defs": {"a": OBJECT | {"properties": {"a": INTEGER}}}, "$ref": "#/$defs/a", "required": ["b"]},
        '{"a":1,"b":null}',
        '{"a":1}',
    ),
    (
        OBJECT | {"properties": {"a": INTEGER}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        '{"b":1}',
        "{}",
    ),
    (
        {
            "$defs": {"a": OBJECT | {"properties": {"a": INTEGER}}},
            "allOf": [{"$ref": "#/$defs/a"}, {"properties": {"n": {"$ref": "#/$defs/a"}}}],
        },
        '{"a":1,"n":{"a":2}}',
        '{"a":1,"n":{"a":2,"n":1}}',
    ),
    (
        {"allOf": [OBJECT | {"properties": {"a": INTEGER}}], "title": "pydantic 1"},
        '{"a":1}',
        '{"b":1}',
    ),
]
"""Objects are closed as a whole where several schemas say what they are."""

WHOLE = [*(schema for _, schema, *_ in CASES), *(schema for schema, *_ in COMBINED), {}, OBJECT, ARRAY]


def test_every_keyword_has_a_case() -> None:
    """The table of what is enforced is the list of what is shown here."""
    assert {keyword for keyword, *_ in CASES} == KEYWORDS.keys()


@pytest.mark.parametrize(("keyword", "schema", "good", "bad"), CASES, ids=lambda case: str(case)[:40])
def test_a_keyword_is_enforced(keyword: str, schema: dict[str, Any], good: str, bad: str) -> None:
    """What follows it passes, what violates it (or is no JSON) does not."""
    grammar = json_schema_grammar(schema)
    validator(schema).validate(json.loads(good))
    assert passes(grammar, good)
    assert not passes(grammar, bad)


@pytest.mark.parametrize(("schema", "good", "bad"), COMBINED, ids=lambda case: str(case)[:40])
def test_schemas_that_are_combined(schema: dict[str, Any], good: str, bad: str) -> None:
    """All of them hold, and names that none of them describes are left out."""
    test_a_keyword_is_enforced("", schema, good, bad)


def draft() -> set[str]:
    """Every keyword of the draft."""
    parts = ("core", "applicator", "unevaluated", "validation", "format-annotation", "content", "meta-data")
    return {
        keyword
        for part in parts
        for keyword in jsonschema_specifications.REGISTRY.contents(
            f"https://json-schema.org/draft/2020-12/meta/{part}"
        )["properties"]
    }


def test_the_draft_is_covered() -> None:
    """Each of its keywords is enforced, without effect, or refused."""
    assert draft() <= {*KEYWORDS, *ANNOTATIONS, *REFUSED}
    assert not {*KEYWORDS} & {*REFUSED}
    assert not {*ANNOTATIONS} & {*KEYWORDS, *REFUSED}


@pytest.mark.parametrize("keyword", REFUSED)
def test_any_other_keyword_of_the_drafts_is_refused(keyword: str) -> None:
    """With its path, however deep it stands, and whatever its value."""
    schema: dict[str, Any] = {"properties": {"a": {"anyOf": [INTEGER, ARRAY | {"items": {keyword: {}}}]}}}
    with pytest.raises(UnsupportedConstraint) as caught:
        json_schema_grammar(schema)
    assert caught.value.path == ("properties", "a", "anyOf", 1, "items", keyword)
    assert repr(keyword) in caught.value.reason


@pytest.mark.parametrize("keyword", ["min_items", "maxlength", "x-any", "propertyOrdering", "strict", ""])
def test_a_keyword_that_no_draft_knows_is_an_annotation(keyword: str) -> None:
    """It constrains nothing, whatever its value."""
    schema = ARRAY | {"items": INTEGER | {keyword: {"type": 1}}, keyword: [2]}
    assert json_schema_grammar(schema) == json_schema_grammar(ARRAY | {"items": INTEGER})


def validator(schema: dict[str, Any]) -> Any:
    """An independent judge, of formats too."""
    kind = jsonschema.Draft7Validator if "$schema" in schema else jsonschema.Draft202012Validator
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def walk(schema: dict[str, Any], seeds: range) -> None:
    """Answers drawn at random are JSON without white space and follow the schema."""
    grammar = json_schema_grammar(schema)
    for seed in seeds:
        answer = sample(grammar, random.Random(seed))
        if answer is not None:
            validator(schema).validate(json.loads(answer))
            assert not re.search(r"\s", re.sub(r'"(\\.|[^"\\])*"', "", answer))


@pytest.mark.parametrize(
    "schema", [*WHOLE, *(TEXT | {"format": name} for name in FORMATS)], ids=lambda schema: write(schema)[:60]
)
def test_whatever_passes_is_valid(schema: dict[str, Any]) -> None:
    """For every schema above."""
    walk(schema, range(4))


LEAVES = st.one_of(
    st.sampled_from([TEXT, INTEGER, NUMBER, {}, {"type": "null"}, {"enum": ["a", 2, None]}]),
    st.integers(-20, 20).map(lambda low: INTEGER | {"minimum": low, "maximum": low + 7}),
    st.integers(0, 4).map(lambda low: TEXT | {"minLength": low, "maxLength": low + 3}),
    st.sampled_from(["a", "^[a-c]{1,3}$", "x|y$", "\\d+"]).map(lambda pattern: TEXT | {"pattern": pattern}),
)
NAMES = st.sampled_from(["a", "b", "ab", 'q"', ""])


def grown(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas around schemas."""
    properties = st.dictionaries(NAMES, schemas, max_size=3)
    required = st.lists(NAMES, max_size=2, unique=True)
    objects = st.builds(
        lambda properties, required: OBJECT | {"properties": properties, "required": required},
        properties,
        required,
    )
    return st.one_of(
        objects,
        st.builds(lambda one, rest: one | {"additionalProperties": rest}, objects, schemas | st.booleans()),
        st.builds(lambda one, other: {"allOf": [one, other]}, objects, objects),
        st.builds(lambda one, other: one | {"anyOf": [other]}, objects, objects),
        st.builds(lambda items, most: ARRAY | {"items": items, "maxItems": most}, schemas, st.integers(0, 3)),
        st.lists(schemas, min_size=1, max_size=2).map(lambda prefix: ARRAY | {"prefixItems": prefix}),
        st.lists(schemas, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        st.lists(schemas, min_size=1, max_size=2).map(lambda options: {"oneOf": options}),
    )


@settings(max_examples=80, deadline=None)
@given(schema=st.recursive(LEAVES, grown, max_leaves=5), seed=st.integers(0, 100))
def test_schemas_at_random(schema: dict[str, Any], seed: int) -> None:
    """Each is refused, or whatever passes is valid."""
    try:
        json_schema_grammar(schema)
    except UnsupportedConstraint:
        return
    walk(schema, range(seed, seed + 2))
