"""Whether what an answer must look like says how long it may become."""

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from phiserve.constraints.keywords import BOUNDED_FORMATS, TYPES

_ENDLESS = re.compile(r"[*+]|,\s*\}")
"""Repetitions without a most, as expressions write them; an escaped one is taken for one too."""


def bounds_expression(text: str) -> bool:
    """Whether all that a regular expression matches is of bounded length."""
    return not _ENDLESS.search(text)


def bounds_schema(schema: JsonValue) -> bool:
    """Whether all that follows a JSON schema is of bounded length.

    The schema has passed every check. False where that would take long to tell: for references, and for
    numbers without both bounds, whose digits the schema's grammar lets go on (`digits` ends them).
    """
    if not isinstance(schema, dict):
        return schema is False
    if "enum" in schema or "const" in schema:
        return True
    if any(bounds_schema(part) for part in _list(schema, "allOf")):
        return True
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema and all(map(bounds_schema, _list(schema, keyword))):
            return True
    given = schema.get("type", list(TYPES))
    kinds = given if isinstance(given, list) else [given]
    return all(_bounds_kind(str(kind), schema) for kind in kinds)


def _bounds_kind(kind: str, schema: Mapping[str, JsonValue]) -> bool:
    """The same of the values of one type."""
    match kind:
        case "string":
            return "maxLength" in schema or schema.get("format") in BOUNDED_FORMATS or _bounds_pattern(schema)
        case "integer" | "number":
            return _has(schema, "minimum", "exclusiveMinimum") and _has(schema, "maximum", "exclusiveMaximum")
        case "array":
            return _bounds_items(schema)
        case "object":
            return _bounds_properties(schema)
    return True


def _bounds_pattern(schema: Mapping[str, JsonValue]) -> bool:
    """Whether a pattern says what the whole text is, and how long."""
    pattern = str(schema.get("pattern", ""))
    is_whole = pattern.startswith("^") and pattern.endswith("$") and "|" not in pattern
    return is_whole and bounds_expression(pattern)


def _bounds_properties(schema: Mapping[str, JsonValue]) -> bool:
    """Objects that describe properties have no others, unless they say so."""
    properties = schema.get("properties", {})
    is_closed = schema.get("additionalProperties", "properties" not in schema) is False
    is_described = is_closed and not _has(schema, "patternProperties", "propertyNames")
    return is_described and isinstance(properties, dict) and all(map(bounds_schema, properties.values()))


def _bounds_items(schema: Mapping[str, JsonValue]) -> bool:
    tuples = schema.get("items")
    first = tuples if isinstance(tuples, list) else _list(schema, "prefixItems")
    rest = schema.get("additionalItems", True) if isinstance(tuples, list) else schema.get("items", True)
    is_counted = rest is False or ("maxItems" in schema and bounds_schema(rest))
    return is_counted and all(map(bounds_schema, first))


def _list(schema: Mapping[str, JsonValue], keyword: str) -> Sequence[JsonValue]:
    given = schema.get(keyword)
    return given if isinstance(given, list) else []


def _has(schema: Mapping[str, JsonValue], *keywords: str) -> bool:
    return any(keyword in schema for keyword in keywords)
