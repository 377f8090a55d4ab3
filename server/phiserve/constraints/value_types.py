"""The keywords of each type of value: whether they are well-formed, agree with each other and are enforced
together.
"""

import math
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any

from phiserve.constraints.ambiguity import check_ambiguity
from phiserve.constraints.keywords import (
    FORMAT_LENGTH,
    FORMATS,
    MAX_DECIMALS,
    MAX_ITEMS,
    MAX_LENGTH,
    MAX_NUMBER,
    MAX_PROPERTIES,
    Kind,
)
from phiserve.constraints.regex import parse_regex
from phiserve.constraints.syntax import (
    Chain,
    Chars,
    Choice,
    Node,
    Ranges,
    Repeat,
    UnsupportedExpression,
    joined,
    without,
)

Place = tuple[str | int, ...]
"""Keys and indices from the schema's root."""

UNHELD: Ranges = joined(((0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C)))
"""Characters that a JSON string holds only as escapes, which patterns and lengths leave out."""


class InvalidSchema(Exception):
    """The schema is not one."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


class UnsupportedSchema(InvalidSchema):
    """The schema asks for what would not be enforced, or what could never be answered."""


@dataclass(slots=True)
class Found:
    """What the way through a schema finds: its schemas by place, references for names, and what adds up over
    all.
    """

    schemas: dict[Place, dict[str, Any]] = field(default_factory=dict)
    name_references: dict[Place, str] = field(default_factory=dict)
    length: int = 0
    counted_properties: int = 0

    def add(self, schema: dict[str, Any], place: Place) -> None:
        """Note a schema."""
        self.schemas[place] = schema

    def add_length(self, length: int) -> None:
        """Count the characters of a string with a bound. Raises UnsupportedSchema when they are too many."""
        self.length += length
        if self.length > MAX_LENGTH:
            raise UnsupportedSchema(
                (), f"all lengths, patterns and formats together add up to more than {MAX_LENGTH}"
            )


def check_kinds(
    schema: dict[str, Any], kinds: Set[Kind], types: tuple[str, ...], place: Place, found: Found
) -> None:
    """Check the keywords of these kinds. Raises InvalidSchema or UnsupportedSchema."""
    if "object" in kinds:
        _check_object(schema, place, found)
    if "array" in kinds:
        _check_array(schema, place)
    if "string" in kinds:
        _check_string(schema, place, found)
    if "number" in kinds:
        _check_numbers(schema, "integer" in types, place)


def _check_object(schema: dict[str, Any], place: Place, found: Found) -> None:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict):
        raise InvalidSchema((*place, "properties"), "must be an object of schemas")
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise InvalidSchema((*place, "required"), "must be a list of names")
    for index, name in enumerate(required):
        if name not in properties:
            raise UnsupportedSchema(
                (*place, "required", index),
                f"{name[:100]!r} is not among 'properties': it would not be enforced",
            )
    if properties and schema.get("additionalProperties", False) is not False:
        raise UnsupportedSchema(
            (*place, "additionalProperties"),
            "beside 'properties' it must be false: a name written in another way would get around 'properties'",
        )
    found.counted_properties += _check_property_counts(schema, len(properties), len(set(required)), place)
    _check_pattern_properties(schema, place, found)
    if "propertyNames" in schema:
        _check_property_names(schema, place, found)


def _check_property_counts(schema: dict[str, Any], properties: int, required: int, place: Place) -> int:
    """How many properties are counted."""
    least, most = _counts(schema, "minProperties", "maxProperties", MAX_ITEMS, place)
    if least and properties < least:
        raise UnsupportedSchema(
            (*place, "minProperties"),
            "is more than there are 'properties'; others, which may come twice, are not counted",
        )
    if most is not None and most < required:
        raise UnsupportedSchema((*place, "maxProperties"), "is less than there are names in 'required'")
    if properties > MAX_PROPERTIES:
        raise UnsupportedSchema((*place, "properties"), f"are more than {MAX_PROPERTIES}")
    return properties if least or most is not None else 0


def _check_pattern_properties(schema: dict[str, Any], place: Place, found: Found) -> None:
    if "patternProperties" not in schema:
        return
    patterns, where = schema["patternProperties"], (*place, "patternProperties")
    if not isinstance(patterns, dict):
        raise InvalidSchema(where, "must be an object of schemas")
    for other in ("properties", "propertyNames"):
        if other in schema:
            raise UnsupportedSchema(where, f"'patternProperties' is not enforced beside {other!r}")
    if len(patterns) != 1:
        raise UnsupportedSchema(where, "'patternProperties' is supported with a single pattern")
    for pattern in patterns:
        found.add_length(check_pattern(pattern, (*where, pattern)))


def _check_property_names(schema: dict[str, Any], place: Place, found: Found) -> None:
    names, where = schema["propertyNames"], (*place, "propertyNames")
    if "properties" in schema:
        raise UnsupportedSchema(where, "'propertyNames' is not enforced beside 'properties'")
    if not isinstance(names, dict):
        raise InvalidSchema(where, "must be an object")
    if names.keys() == {"$ref"}:
        found.name_references[*where, "$ref"] = str(names["$ref"])
        return
    if names.get("type", "string") != "string":
        raise InvalidSchema((*where, "type"), "names are strings")
    values = [keyword for keyword in ("enum", "const") if keyword in names]
    allowed = {"type", *(values[:1] or ("pattern", "minLength", "maxLength"))}
    for keyword in names:
        if keyword not in allowed:
            raise UnsupportedSchema((*where, keyword), f"the keyword {keyword[:100]!r} is not enforced here")
    if values:
        texts = names["enum"] if values == ["enum"] else [names["const"]]
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise InvalidSchema((*where, values[0]), "names are strings")
    else:
        _check_string(names, where, found)


def _check_array(schema: dict[str, Any], place: Place) -> None:
    prefix, items = schema.get("prefixItems", []), schema.get("items")
    if not isinstance(prefix, list) or ("prefixItems" in schema and not prefix):
        raise InvalidSchema((*place, "prefixItems"), "must be a list of at least one schema")
    if isinstance(items, list):
        raise UnsupportedSchema(
            (*place, "items"), "a list of schemas is not supported here; 'prefixItems' is"
        )
    least, most = _counts(schema, "minItems", "maxItems", MAX_ITEMS, place)
    if most is not None and most < len(prefix):
        raise UnsupportedSchema((*place, "maxItems"), "is less than there are 'prefixItems'")
    if least > len(prefix) and (items is False or (prefix and items is None)):
        raise UnsupportedSchema(
            (*place, "minItems"), "is more than there can be items; those after 'prefixItems' need 'items'"
        )


def _check_string(schema: dict[str, Any], place: Place, found: Found) -> None:
    given = [keyword for keyword in ("format", "pattern", "minLength", "maxLength") if keyword in schema]
    for other in given[1:]:
        if given[0] in ("format", "pattern"):
            raise UnsupportedSchema(
                (*place, other), f"the keyword {other!r} is not enforced beside {given[0]!r}"
            )
    if "format" in schema and schema["format"] not in FORMATS:
        raise UnsupportedSchema(
            (*place, "format"), f"must be one of {', '.join(FORMATS)}; others are not enforced"
        )
    if "pattern" in schema:
        found.add_length(check_pattern(schema["pattern"], (*place, "pattern")))
    least, most = _counts(schema, "minLength", "maxLength", MAX_LENGTH, place)
    found.add_length(FORMAT_LENGTH if "format" in schema else most if most is not None else least)


def check_pattern(pattern: Any, place: Place) -> int:
    """How long a pattern is with its counts written out. Raises UnsupportedSchema."""
    if not isinstance(pattern, str):
        raise InvalidSchema(place, "must be a string")
    if len(pattern) > MAX_LENGTH:
        raise UnsupportedSchema(place, f"the pattern has more than {MAX_LENGTH} characters")
    try:
        node = parse_regex(pattern)
        check_ambiguity({"": node})
        return _check_held(node)
    except UnsupportedExpression as error:
        raise UnsupportedSchema(place, f"the pattern {error}") from None


def _check_held(node: Node) -> int:
    """The length of a pattern, all of whose characters a JSON string can hold as they are. Raises
    UnsupportedExpression.
    """
    match node:
        case Chars(ranges):
            if not without(ranges, UNHELD):
                raise UnsupportedExpression("needs a character that a JSON string holds only as an escape")
            return 1
        case Chain(items) | Choice(items):
            return sum(map(_check_held, items))
        case Repeat(item, least, most):
            length = _check_held(item) * (most or max(1, least))
            if length > MAX_LENGTH:
                raise UnsupportedExpression(f"has counts that multiply to more than {MAX_LENGTH}")
            return length
        case _:
            return 0


def _check_numbers(schema: dict[str, Any], whole: bool, place: Place) -> None:
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    for keyword in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"):
        if keyword in schema:
            (lows if "inimum" in keyword else highs)[keyword] = _bound(
                schema[keyword], whole, (*place, keyword)
            )
    step = 1 if whole else 10**-MAX_DECIMALS
    low = max((value + step * keyword.startswith("ex") for keyword, value in lows.items()), default=-math.inf)
    high = min(
        (value - step * keyword.startswith("ex") for keyword, value in highs.items()), default=math.inf
    )
    if low > high + step / 2:
        raise UnsupportedSchema((*place, next(iter(highs))), f"leaves no number above '{next(iter(lows))}'")


def _bound(value: Any, whole: bool, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSchema(place, "must be a number")
    if abs(value) > MAX_NUMBER:
        raise UnsupportedSchema(place, f"is beyond {MAX_NUMBER}")
    if whole and value != int(value):
        raise UnsupportedSchema(place, "must be a whole number for integers")
    if round(value, MAX_DECIMALS) != value:
        raise UnsupportedSchema(place, f"has more than {MAX_DECIMALS} decimals, which are not enforced")
    return value


def _counts(schema: dict[str, Any], low: str, high: str, limit: int, place: Place) -> tuple[int, int | None]:
    """The values of a pair of keywords."""
    for keyword in (low, high):
        count = schema.get(keyword, 0)
        if isinstance(count, float) and count.is_integer():
            count = int(count)
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InvalidSchema((*place, keyword), "must be a whole number from 0 on")
        if count > limit:
            raise UnsupportedSchema((*place, keyword), f"is more than {limit}")
    least, most = int(schema.get(low, 0)), int(schema[high]) if high in schema else None
    if most is not None and least > most:
        raise UnsupportedSchema((*place, high), f"is less than {low!r}")
    return least, most
