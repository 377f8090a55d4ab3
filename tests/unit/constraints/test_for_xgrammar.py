"""Constraints as the grammar library gets them: for every keyword that is called enforced, it is shown that
it is.

The library's own matcher reads texts byte by byte here; no engine runs.
"""

import json
import random
import re
from functools import cache
from typing import Any

import jsonschema
import numpy as np
import pytest
import xgrammar

from phiserve.constraints.for_xgrammar import engine_regex, engine_schema
from phiserve.constraints.json_schema import check_schema
from phiserve.constraints.keywords import FORMATS, KEYWORDS

END = 256
INTEGER = {"type": "integer"}
TEXT = {"type": "string"}
NAMED = {"$defs": {"k": {"enum": ["a"]}}, "type": "object", "propertyNames": {"$ref": "#/$defs/k"}}
Cases = list[tuple[str, dict[str, Any], str, str]]

CASES: Cases = [
    ("type", TEXT, '"a"', "1"),
    ("type", {"type": ["string", "null"], "maxLength": 1}, "null", "1"),
    ("enum", {"enum": ["a", 1.5, None, {"b": [True]}]}, '{"b":[true]}', '"b"'),
    ("enum", {"enum": ["a"], "type": "string"}, '"a"', '"b"'),
    ("const", {"const": "a/b é"}, '"a/b é"', '"b"'),
    (
        "$ref",
        {"properties": {"a": INTEGER, "b": {"$ref": "#/properties/a"}}, "required": ["b"]},
        '{"b":1}',
        '{"b":"x"}',
    ),
    ("$ref", {"type": "array", "items": {"$ref": "#"}}, "[[],[[]]]", "[1]"),
    ("$defs", {"$ref": "#/$defs/a", "$defs": {"a": INTEGER}}, "1", '"x"'),
    ("definitions", {"$ref": "#/definitions/a", "definitions": {"a": INTEGER}}, "1", '"x"'),
    ("anyOf", {"anyOf": [INTEGER, TEXT]}, '"a"', "null"),
    ("oneOf", {"oneOf": [INTEGER, TEXT]}, "1", "1.5"),
    ("allOf", {"allOf": [INTEGER]}, "1", '"a"'),
    ("properties", {"type": "object", "properties": {"a": INTEGER}}, '{"a":1}', '{"a":"x"}'),
    (
        "required",
        {"type": "object", "properties": {"a": INTEGER, "b": {}}, "required": ["b"]},
        '{"b":[]}',
        '{"a":1}',
    ),
    ("additionalProperties", {"type": "object", "additionalProperties": INTEGER}, '{"a":1}', '{"a":"x"}'),
    ("additionalProperties", {"properties": {"a": {}}, "additionalProperties": False}, '{"a":1}', '{"b":1}'),
    (
        "patternProperties",
        {"type": "object", "patternProperties": {"^k\\d$": INTEGER}},
        '{"k1":1}',
        '{"k1":"x"}',
    ),
    ("propertyNames", {"type": "object", "propertyNames": {"enum": ["a", "b"]}}, '{"b":[1]}', '{"c":1}'),
    (
        "propertyNames",
        {"type": "object", "propertyNames": {"maxLength": 2}, "additionalProperties": INTEGER},
        '{"ab":1}',
        '{"abc":1}',
    ),
    (
        "propertyNames",
        {"$defs": {"k": {"enum": ["a"]}}, "type": "object", "propertyNames": {"$ref": "#/$defs/k"}},
        '{"a":1}',
        '{"b":1}',
    ),
    (
        "minProperties",
        {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1},
        '{"b":1}',
        "{}",
    ),
    ("maxProperties", {"type": "object", "maxProperties": 1}, '{"b":1}', '{"a":1,"b":1}'),
    (
        "maxProperties",
        {"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1},
        '{"b":1}',
        '{"a":1,"b":1}',
    ),
    ("items", {"type": "array", "items": INTEGER}, "[1,2]", '[1,"a"]'),
    ("items", {"type": "array", "prefixItems": [INTEGER], "items": False}, "[1]", "[1,2]"),
    ("prefixItems", {"type": "array", "prefixItems": [INTEGER, {}], "items": TEXT}, '[1,[],"a"]', '["a",1]'),
    ("minItems", {"type": "array", "minItems": 2.0}, "[1,null]", "[1]"),
    ("maxItems", {"type": "array", "items": INTEGER, "maxItems": 2}, "[1,2]", "[1,2,3]"),
    ("minLength", TEXT | {"minLength": 2}, '"éé"', '"é"'),
    ("minLength", TEXT | {"minLength": 200}, f'"{"a" * 200}"', f'"{"a" * 199}"'),
    ("maxLength", TEXT | {"maxLength": 2}, '"😀é"', '"abc"'),
    ("maxLength", TEXT | {"maxLength": 300}, f'"{"a" * 300}"', f'"{"a" * 301}"'),
    ("maxLength", TEXT | {"maxLength": 2}, '"a"', '"a\t"'),
    ("pattern", TEXT | {"pattern": "^[a-c]+\\d{2}$"}, '"abc12"', '"abc1"'),
    ("pattern", TEXT | {"pattern": "^é.*$"}, '"é!"', '"é"!"'),
    ("pattern", TEXT | {"pattern": "a.b"}, '"a😀b"', '"a\u2028b"'),
    ("pattern", TEXT | {"pattern": "\\S+"}, '"a"', '"a\u2003b"'),
    ("format", TEXT | {"format": "date"}, '"2026-01-31"', '"2026-13-31"'),
    ("minimum", {"type": "integer", "minimum": -3}, "-3", "-4"),
    ("minimum", {"type": "number", "minimum": 0.5}, "0.5", "0.49"),
    ("maximum", {"type": "integer", "maximum": 10**15}, "1000000000000000", "1000000000000001"),
    ("maximum", {"type": "number", "maximum": 1}, "-7.25", "1.000001"),
    ("exclusiveMinimum", {"type": "integer", "exclusiveMinimum": 3}, "4", "3"),
    ("exclusiveMaximum", {"type": "number", "exclusiveMaximum": 1}, "0.999999", "1"),
]


@cache
def compiler() -> xgrammar.GrammarCompiler:
    """For a vocabulary of single bytes."""
    vocabulary: Any = [*(bytes([value]) for value in range(END)), b"</s>"]
    kind = xgrammar.VocabType.RAW
    return xgrammar.GrammarCompiler(
        xgrammar.TokenizerInfo(vocabulary, vocab_type=kind, stop_token_ids=[END]), max_threads=1
    )


def compiled(schema: dict[str, Any]) -> xgrammar.CompiledGrammar:
    """As vLLM has it compiled."""
    check_schema(schema)
    return compiler().compile_json_schema(
        json.dumps(engine_schema(schema)), any_whitespace=False, separators=(",", ":")
    )


def passes(grammar: xgrammar.CompiledGrammar, text: str) -> bool:
    """Whether a text may be the whole answer."""
    matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=[END])
    return all(matcher.accept_token(byte) for byte in text.encode()) and matcher.accept_token(END)


def sample(grammar: xgrammar.CompiledGrammar, random_: random.Random, *, own_strings: bool) -> str | None:
    """An answer that a model which knows nothing might give; None where it does not come to an end soon.

    The library's own rule for strings lets halves of surrogate pairs pass, which decoding replaces.
    """
    matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=[END])
    mask = xgrammar.allocate_token_bitmask(1, END + 1)
    answer = bytearray()
    for _ in range(400):
        matcher.fill_next_token_bitmask(mask, 0)
        allowed = (
            np.unpackbits(mask.numpy().view(np.uint8), bitorder="little")[: END + 1].nonzero()[0].tolist()
        )
        assert allowed, f"{bytes(answer)!r} leads nowhere"
        token = END if END in allowed else random_.choice(allowed)
        matcher.accept_token(token)
        if token == END:
            return answer.decode(errors="replace" if own_strings else "strict")
        answer.append(token)
    return None


def test_every_keyword_has_a_case() -> None:
    """The table of what is enforced is the list of what is shown here."""
    assert {keyword for keyword, *_ in CASES} == KEYWORDS.keys()


@pytest.mark.parametrize(("keyword", "schema", "good", "bad"), CASES, ids=lambda case: str(case)[:40])
def test_a_keyword_is_enforced(keyword: str, schema: dict[str, Any], good: str, bad: str) -> None:
    """What follows it passes, what violates it (or is no JSON) does not."""
    grammar = compiled(schema)
    jsonschema.validate(json.loads(good), schema)
    assert passes(grammar, good)
    assert not passes(grammar, bad)


@pytest.mark.parametrize(
    "schema",
    [
        *(schema for _, schema, *_ in CASES),
        *(TEXT | {"format": name} for name in FORMATS),
        {},
        {"type": "object"},
        {"type": "array"},
    ],
    ids=lambda schema: json.dumps(schema)[:60],
)
def test_whatever_passes_is_valid(schema: dict[str, Any]) -> None:
    """Answers drawn at random are JSON, and follow the schema by an independent validator."""
    grammar = compiled(schema)
    for seed in range(8):
        own_strings = not {"pattern", "minLength", "maxLength"} & schema.keys()
        answer = sample(grammar, random.Random(seed), own_strings=own_strings)
        if answer is not None:
            jsonschema.validate(json.loads(answer), schema)


@pytest.mark.parametrize(
    ("regex", "good", "bad"),
    [
        ("a|b{2,3}", "bbb", "b"),
        ("^(?:yes|no)?$", "", "maybe"),
        ("[^a-z]+", "Aé", "a"),
        (r"\w+@\w+\.(?<end>com|org)", "a@b.org", "a@b.net"),
        ("a{0,300}b", "b", "a" * 301 + "b"),
        ("[ab]{130,400}", "ab" * 200, "a" * 129),
        ("[ab]{130,400}", "a" * 195, "a" * 401),
        ("a{200}", "a" * 200, "a" * 199),
        (r"\u{1F600}\x41\u00e9\n", "😀Aé\n", "A"),
        ("(|a)b", "b", "aab"),
        (".", "é", "\n"),
    ],
)
def test_regular_expressions(regex: str, good: str, bad: str) -> None:
    """Written in the library's way they mean what they meant."""
    grammar = compiler().compile_regex(engine_regex(regex))
    assert passes(grammar, good)
    assert not passes(grammar, bad)


@pytest.mark.parametrize("least", [0, 1, 63, 64, 65, 130])
@pytest.mark.parametrize("more", [0, 1, 64, 128, 129, 191, 192, 200])
def test_counts_in_blocks_are_exact(least: int, more: int) -> None:
    """Every number of characters from the least to the most passes, and none beside."""
    written = re.compile(engine_regex(f"a{{{least},{least + more}}}"))
    found = [count for count in range(least + more + 3) if written.fullmatch("a" * count)]
    assert found == list(range(least, least + more + 1))
