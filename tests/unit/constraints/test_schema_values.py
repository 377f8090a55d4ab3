"""Bounds and patterns as generators of schemas always write them."""

import json
from typing import Any

import jsonschema
import pytest

from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.keywords import MAX_NUMBER
from phiserve.constraints.look_ahead import WITHOUT_LOOK_AHEAD
from unit.constraints.matching import passes

INTEGER: dict[str, Any] = {"type": "integer"}
NUMBER: dict[str, Any] = {"type": "number"}
OBJECT: dict[str, Any] = {"type": "object"}
TEXT: dict[str, Any] = {"type": "string"}
SAFE = 2**53 - 1
FLOAT32 = 3.4028234663852886e38
EMAIL, DURATION, HOSTNAME = WITHOUT_LOOK_AHEAD
DATE = (
    "(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:"
    "0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))"
)
TIME = "T(?:(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?(?:Z))"
UUID = (
    "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
    "|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$"
)
SOME_UUID = '"123e4567-e89b-12d3-a456-426614174000"'

CASES: list[tuple[dict[str, Any], str, str]] = [
    (INTEGER | {"minimum": -SAFE, "maximum": SAFE}, str(-SAFE), str(-SAFE - 1)),
    (INTEGER | {"exclusiveMinimum": 0, "maximum": SAFE}, str(SAFE), "0"),
    (INTEGER | {"minimum": -(2**63), "maximum": 2**63 - 1}, str(2**53), str(2**63)),
    (INTEGER | {"minimum": 0, "exclusiveMaximum": 2**64}, "0", str(2**64)),
    (NUMBER | {"minimum": -FLOAT32, "maximum": FLOAT32}, "-0.5", f"1{'0' * 39}"),
    (TEXT | {"maxLength": 2000}, f'"{"a" * 2000}"', f'"{"a" * 2001}"'),
    (TEXT | {"format": "uri", "minLength": 6}, '"ab://c"', '"a://c"'),
    (TEXT | {"format": "uri", "minLength": 1, "maxLength": 2083}, f'"a:{"c" * 2081}"', f'"a:{"c" * 2082}"'),
    (TEXT | {"format": "email", "pattern": EMAIL, "maxLength": 9}, '"a.b@cd.ef"', '"a..b@c.ef"'),
    (TEXT | {"format": "email", "pattern": EMAIL}, '"a+b@c.de"', '".a@c.de"'),
    (TEXT | {"format": "duration", "pattern": DURATION}, '"P1DT2H"', '"P1DT"'),
    (TEXT | {"format": "hostname", "pattern": HOSTNAME}, '"a-1.b.example"', '"a_.b"'),
    (TEXT | {"pattern": HOSTNAME}, f'"{"a." * 126}b"', f'"{"a." * 127}b"'),
    (TEXT | {"pattern": HOSTNAME, "maxLength": 3}, '"a.b"', '"a.bc"'),
    ({"anyOf": [NUMBER, TEXT | {"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}]}, '"-1.5"', '"."'),
    (TEXT | {"format": "uuid", "pattern": UUID}, SOME_UUID, SOME_UUID.replace("12d3", "02d3")),
    (TEXT | {"format": "date", "pattern": f"^{DATE}$"}, '"2024-02-29"', '"2025-02-29"'),
    (TEXT | {"format": "date-time", "pattern": f"^{DATE}{TIME}$"}, '"2024-02-29T23:59:58Z"', '"2024-02-29"'),
]


@pytest.mark.parametrize(("schema", "good", "bad"), CASES, ids=lambda case: str(case)[:60])
def test_what_generators_write(schema: dict[str, Any], good: str, bad: str) -> None:
    """The bounds of zod's and pydantic's integers, lengths, and a format beside the pattern of the same."""
    grammar = json_schema_grammar(schema)
    kind = jsonschema.Draft202012Validator
    judge = kind(schema, format_checker=kind.FORMAT_CHECKER)
    assert judge.is_valid(json.loads(good))
    assert not judge.is_valid(json.loads(bad))
    assert passes(grammar, good)
    assert not passes(grammar, bad)


@pytest.mark.parametrize("kind", [INTEGER, NUMBER], ids=str)
def test_a_bound_further_out_is_narrowed(kind: dict[str, Any]) -> None:
    """Answers stay where whole numbers are exact, and so within what was asked."""
    wide = kind | {"minimum": -(2**63), "exclusiveMaximum": 1e300}
    narrow = kind | {"minimum": -MAX_NUMBER, "exclusiveMaximum": MAX_NUMBER}
    assert json_schema_grammar(wide) == json_schema_grammar(narrow)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (TEXT | {"nullable": True}, "null", "1"),
        ({"nullable": True} | INTEGER | {"minimum": 3}, "null", "2"),
        ({"type": ["string", "null"], "nullable": True}, "null", "1"),
        (OBJECT | {"properties": {"a": TEXT | {"nullable": True}}, "required": ["a"]}, '{"a":null}', "null"),
        (
            {"$defs": {"a": OBJECT | {"nullable": True, "properties": {"a": {"$ref": "#/$defs/a"}}}}}
            | {"$ref": "#/$defs/a"},
            '{"a":{"a":null}}',
            '{"a":1}',
        ),
        (TEXT | {"nullable": True, "enum": ["a", None]}, "null", '"b"'),
        (TEXT | {"nullable": True, "enum": ["a"]}, '"a"', "null"),
        ({"nullable": True, "anyOf": [TEXT]}, '"a"', "null"),
        (TEXT | {"nullable": False}, '"a"', "null"),
        (TEXT | {"nullable": "yes"}, '"a"', "null"),
    ],
)
def test_nullable_is_as_openapi_has_it(schema: dict[str, Any], good: str, bad: str) -> None:
    """True beside a `type` allows null too; anything else of it says nothing, as of a name no draft knows."""
    grammar = json_schema_grammar(schema)
    assert passes(grammar, good)
    assert not passes(grammar, bad)
