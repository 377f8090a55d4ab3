"""Which keywords of JSON Schema are enforced. The check, its errors and the documents come from these tables.

A keyword is here only if an answer that violates it was seen to be rejected by llguidance 1.7.6, as it is
used here (`tests/unit/constraints/test_enforced.py` shows it for each). Any other keyword is refused, since
it would be ignored without a word.
"""

from typing import Literal, NamedTuple

Kind = Literal["any", "object", "array", "string", "number"]


class Keyword(NamedTuple):
    """`kind`: the type of value that the keyword is about. `note`: within which bounds it is enforced."""

    kind: Kind
    note: str = ""


KEYWORDS: dict[str, Keyword] = {
    "type": Keyword("any", "one or several"),
    "enum": Keyword("any"),
    "const": Keyword("any"),
    "$ref": Keyword("any", "within the schema; what stands beside it holds too"),
    "$defs": Keyword("any"),
    "definitions": Keyword("any"),
    "anyOf": Keyword("any"),
    "oneOf": Keyword(
        "any", "branches of other types, other `const` or `enum`, or told apart by a required property"
    ),
    "allOf": Keyword("any"),
    "properties": Keyword(
        "object", "in this order; no others unless `additionalProperties` or `patternProperties` is given"
    ),
    "required": Keyword("object"),
    "additionalProperties": Keyword("object", "not beside `patternProperties`, unless false"),
    "patternProperties": Keyword("object", "no name may match two patterns; no other names"),
    "propertyNames": Keyword(
        "object", "of `enum`, `const`, `pattern` or lengths; not beside `properties` or `patternProperties`"
    ),
    "minProperties": Keyword("object", "1, or as many as are `required`"),
    "maxProperties": Keyword("object"),
    "items": Keyword("array", "one schema, or draft 7's list"),
    "additionalItems": Keyword("array", "draft 7's, beside a list of `items`"),
    "prefixItems": Keyword("array"),
    "minItems": Keyword("array"),
    "maxItems": Keyword("array"),
    "uniqueItems": Keyword("array", "only false"),
    "minLength": Keyword("string"),
    "maxLength": Keyword("string"),
    "pattern": Keyword("string", "somewhere in the text, as JSON Schema says"),
    "format": Keyword("string", "the form only"),
    "minimum": Keyword("number"),
    "maximum": Keyword("number"),
    "exclusiveMinimum": Keyword("number"),
    "exclusiveMaximum": Keyword("number"),
    "multipleOf": Keyword("number", "multiples from 0 on"),
}

ANNOTATIONS = (
    *("$schema", "$id", "$comment", "title", "description", "default", "example", "examples"),
    *("deprecated", "readOnly", "writeOnly", "discriminator"),
    *("contentEncoding", "contentMediaType", "contentSchema"),
)
"""Keywords without effect on what is valid. So is every name that JSON Schema does not know. `$id` says what
`$ref` begins at."""

REFUSED = (
    *("$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef", "$vocabulary", "id"),
    *("contains", "minContains", "maxContains", "dependencies", "dependentRequired", "dependentSchemas"),
    *("if", "then", "else", "not", "unevaluatedItems", "unevaluatedProperties"),
    *("disallow", "divisibleBy", "extends"),
)
"""Keywords of JSON Schema's drafts 3 to 2020-12 that mean something and are not enforced."""

FORMATS = (
    *("date", "date-time", "time", "duration", "email", "hostname"),
    *("ipv4", "ipv6", "uuid", "uri"),
)
"""Values of `format` whose form is enforced: a date may be the 29th of February in any year."""

BOUNDED_FORMATS = ("date", "ipv4", "ipv6", "uuid")
"""Those of them whose values cannot become long: an address of an e-mail or a fraction of a second can."""

UNENFORCED_FORMATS = (
    *("regex", "json-pointer", "relative-json-pointer", "uri-reference", "uri-template"),
    *("iri", "iri-reference", "idn-email", "idn-hostname"),
)
"""The draft's other formats, which are refused. Any that the draft does not know is an annotation, as JSON
Schema says: `path` and `password` of pydantic's, zod's names for the `pattern` beside them."""

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
MAX_OPEN_DEPTH = 16
"""Lists and objects within one another, in a value that a schema leaves open, as `json_object` does."""

MAX_PROPERTIES = 1000
"""Of one object: compiling takes time with the square."""

MAX_OPTIONAL_PROPERTIES = 499
"""Of one object: each takes four of the items that `limits.LIMITS` allows in a row."""

MAX_COUNTED_PROPERTIES = 50
"""Of one object whose properties are counted too."""

MAX_ITEMS = 10_000
"""Highest `minItems`, `maxItems`, `minProperties`, `maxProperties`; also what those of arrays may add up
to.
"""

MAX_LENGTH = 1_000_000
"""Highest `minLength` and `maxLength`."""

MAX_PATTERN_CHARACTERS = 1024
MAX_COMBINED_PATTERNS = 10
"""Patterns in all schemas that are combined with others by `allOf` or beside `$ref`, `anyOf`, `oneOf`: the
library decides whether any text matches several, in time that grows as a power of their number."""

MAX_MULTIPLE = 10_000
"""What the digits of all `multipleOf` may add up to, and multiply to where schemas are combined."""

MAX_EXCLUSIVE = 100
"""Branches of one `oneOf`."""

MAX_RECURSIVE_REFERENCES = 200
"""`$ref`s of schemas that lead back to themselves: the time of a step grows with the square. 800 branches of
one `anyOf` took a second to compile, and two for a step."""

MAX_NUMBER = 2**53
"""Highest number of an answer whose number is bounded, either way: as far as whole numbers are exact as
floats. The library ends its process at some beyond 63 bits. A bound that lies further out is narrowed to
this."""

MAX_DECIMALS = 15
"""Of a number's bound."""
