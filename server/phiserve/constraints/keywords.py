"""Which keywords of JSON Schema are enforced. The check, its errors and the documents come from these tables.

A keyword is here only if an answer that violates it was seen to be rejected by xgrammar 0.2.8, as it is used
here (`tests/unit/engine/test_forms.py` shows it for each). Any other keyword is refused, since it would be
ignored without a word.
"""

from typing import Literal, NamedTuple

Kind = Literal["any", "object", "array", "string", "number"]


class Keyword(NamedTuple):
    """`kind`: the type of value that the keyword is about. `note`: within which bounds it is enforced."""

    kind: Kind
    note: str = ""


KEYWORDS: dict[str, Keyword] = {
    "type": Keyword("any", "one or several"),
    "enum": Keyword("any", "beside it only `type`"),
    "const": Keyword("any", "beside it only `type`"),
    "$ref": Keyword("any", "`#`, or `#/…` through objects; nothing beside it"),
    "$defs": Keyword("any"),
    "definitions": Keyword("any"),
    "anyOf": Keyword("any", "nothing beside it"),
    "oneOf": Keyword(
        "any",
        "nothing beside it; branches of other types, other `const` or `enum`, or such a required property",
    ),
    "allOf": Keyword("any", "of a single schema; nothing beside it"),
    "properties": Keyword("object", "in this order; no others unless `additionalProperties` is given"),
    "required": Keyword("object", "names from `properties`"),
    "additionalProperties": Keyword("object", "beside `properties` only `false`"),
    "patternProperties": Keyword(
        "object", "one pattern; not beside `properties` or `propertyNames`; no other names"
    ),
    "propertyNames": Keyword(
        "object", "`enum`, `const`, `pattern`, lengths or `$ref`; not beside `properties`"
    ),
    "minProperties": Keyword("object", "beside `properties`"),
    "maxProperties": Keyword("object"),
    "items": Keyword("array", "one schema"),
    "prefixItems": Keyword("array", "no more items unless `items` is given"),
    "minItems": Keyword("array"),
    "maxItems": Keyword("array", "not fewer than `prefixItems`"),
    "minLength": Keyword("string"),
    "maxLength": Keyword("string"),
    "pattern": Keyword("string", "matches the whole text; not beside a length"),
    "format": Keyword("string", "the form only; not beside `pattern` or a length"),
    "minimum": Keyword("number"),
    "maximum": Keyword("number"),
    "exclusiveMinimum": Keyword("number"),
    "exclusiveMaximum": Keyword("number"),
}

FORMS = ("$ref", "const", "enum", "anyOf", "oneOf", "allOf")
"""Keywords that say what a value is by themselves; the grammar library looks at the first of them and at
nothing else."""

ANNOTATIONS = (
    *("$schema", "$id", "$comment", "title", "description", "default", "example", "examples"),
    *("deprecated", "readOnly", "writeOnly", "discriminator"),
)
"""Keywords without effect on what is valid. So is every name that begins with `x-`."""

FORMATS = (
    *("date", "date-time", "time", "duration", "email", "hostname"),
    *("ipv4", "ipv6", "uuid", "uri", "uri-reference", "uri-template"),
)
"""Values of `format` whose form is enforced: a date may be the 30th of February."""

TYPES: dict[str, Kind] = {
    "object": "object",
    "array": "array",
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "any",
    "null": "any",
}
"""Every type, and the kind of its keywords."""

MAX_SCHEMA_BYTES = 64 * 2**10
MAX_SCHEMA_DEPTH = 32
MAX_PROPERTIES = 500
"""Of one object."""

MAX_COUNTED_PROPERTIES = 50
"""Of all objects whose properties are counted too: the grammar grows with the square."""

MAX_EXCLUSIVE = 100
"""Branches of one `oneOf`."""

MAX_ITEMS = 10_000
"""Highest `minItems`, `maxItems`, `minProperties`, `maxProperties`."""

MAX_LENGTH = 1000
"""Highest `minLength` and `maxLength`; also what all lengths, patterns (counts written out) and formats may
add up to.

A grammar takes milliseconds to compile for each of these characters.
"""

FORMAT_LENGTH = 10
"""What a format counts for in that."""

MAX_NUMBER = 10**15
"""Highest bound of a number, either way; of an integer it is exact as a float."""

MAX_DECIMALS = 6
"""Of a number's bound: the grammar library writes bounded numbers with as many."""


def is_annotation(keyword: str) -> bool:
    """Whether a keyword has no effect on what is valid."""
    return keyword in ANNOTATIONS or keyword.startswith("x-")
