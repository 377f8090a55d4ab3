"""JSON schemas as constraints: each keyword holds for every answer, or the schema is refused by its name and
place.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from phiserve.constraints.keywords import (
    FORMS,
    KEYWORDS,
    MAX_COUNTED_PROPERTIES,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    TYPES,
    is_annotation,
)
from phiserve.constraints.references import check_references
from phiserve.constraints.value_types import Found, InvalidSchema, Place, UnsupportedSchema, check_kinds

_DEFINITIONS = ("$defs", "definitions")


def check_schema(schema: Any) -> None:
    """Raises InvalidSchema, or UnsupportedSchema for what is valid and would not be enforced; both know the
    place.
    """
    _check_size(schema)
    checked = _Checker()
    checked.schema(schema, ())
    check_references(checked.found)
    if checked.found.counted_properties > MAX_COUNTED_PROPERTIES:
        raise UnsupportedSchema(
            (),
            f"objects with 'minProperties' or 'maxProperties' have more than {MAX_COUNTED_PROPERTIES} properties",
        )


def write_place(place: Place) -> str:
    """`("properties", "a b", "anyOf", 0)` -> `.properties["a b"].anyOf[0]`."""
    return "".join(map(_write_step, place))


def _write_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    plain = step.replace("$", "").replace("-", "_").isidentifier() and len(step) <= 100
    return f".{step}" if plain else f"[{json.dumps(step[:100])}]"


def _check_size(schema: Any) -> None:
    level, nodes = 0, [schema]
    while nodes:
        level += 1
        if level > MAX_SCHEMA_DEPTH:
            raise UnsupportedSchema((), f"the schema is nested more than {MAX_SCHEMA_DEPTH} levels deep")
        nodes = [
            child
            for parent in nodes
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, UnicodeEncodeError):
        raise InvalidSchema((), "the schema holds a number or a text that JSON does not have") from None
    if size > MAX_SCHEMA_BYTES:
        raise UnsupportedSchema((), f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")


@dataclass(slots=True)
class _Checker:
    """Goes through a schema, keyword by keyword."""

    found: Found = field(default_factory=Found)

    def schema(self, schema: Any, place: Place) -> None:
        """Check one schema and all within it."""
        if schema is True:
            return
        if schema is False:
            raise UnsupportedSchema(place, "false allows nothing, so that no answer would be possible")
        if not isinstance(schema, dict):
            raise InvalidSchema(place, "a schema must be an object or true")
        self.found.add(schema, place)
        keywords = [keyword for keyword in schema if not is_annotation(keyword)]
        for keyword in keywords:
            if keyword not in KEYWORDS:
                raise UnsupportedSchema(
                    (*place, keyword),
                    f"the keyword {keyword[:100]!r} is not supported; it would not be enforced",
                )
        for keyword in _DEFINITIONS:
            self.schemas(schema.get(keyword, {}), (*place, keyword))
        keywords = [keyword for keyword in keywords if keyword not in _DEFINITIONS]
        form = next((form for form in FORMS if form in schema), None)
        if form is None:
            self.typed(schema, keywords, place)
            return
        may_stand = {form, "type"} if form in ("const", "enum") else {form}
        for keyword in keywords:
            if keyword not in may_stand:
                raise UnsupportedSchema(
                    (*place, keyword), f"the keyword {keyword!r} is not enforced beside {form!r}"
                )
        _FORM_CHECKS[form](self, schema, (*place, form))

    def schemas(self, schemas: Any, place: Place) -> None:
        """Check schemas by name."""
        if not isinstance(schemas, dict):
            raise InvalidSchema(place, "must be an object of schemas")
        for name, schema in schemas.items():
            self.schema(schema, (*place, name))

    def branches(self, schema: dict[str, Any], place: Place) -> None:
        """Check `anyOf`, `oneOf`, `allOf`."""
        options = schema[str(place[-1])]
        if not isinstance(options, list) or not options:
            raise InvalidSchema(place, "must be a list of at least one schema")
        if place[-1] == "allOf" and len(options) > 1:
            raise UnsupportedSchema(
                place, "'allOf' of more than one schema is not supported: it would not be enforced"
            )
        for index, option in enumerate(options):
            self.schema(option, (*place, index))

    def values(self, schema: dict[str, Any], place: Place) -> None:
        """Check `const` and `enum`, and the `type` beside them."""
        values = schema["enum"] if place[-1] == "enum" else [schema["const"]]
        if not isinstance(values, list) or not values:
            raise InvalidSchema(place, "must be a list of at least one value")
        types = read_types(schema, place[:-1])
        for index, value in enumerate(values):
            where = (*place, index) if place[-1] == "enum" else place
            if types is not None and not any(_is_of_type(value, name) for name in types):
                raise UnsupportedSchema(
                    where, f"the value is not of the type that 'type' asks for, {' or '.join(types)}"
                )
            if any(abs(number) >= 2**63 for number in _numbers(value)):
                raise UnsupportedSchema(where, "whole numbers of more than 63 bits are not supported")

    def reference(self, schema: dict[str, Any], place: Place) -> None:
        """Check that `$ref` has the form of one; where it leads is known only when all has been seen."""
        if not isinstance(schema["$ref"], str):
            raise InvalidSchema(place, "must be a string")

    def typed(self, schema: dict[str, Any], keywords: list[str], place: Place) -> None:
        """Check a schema that says by `type`, or leaves open, what a value is."""
        types = read_types(schema, place)
        if types is None:
            types = _implied_types(schema)
        if types is None:
            for keyword in keywords:
                raise UnsupportedSchema(
                    (*place, keyword), f"the keyword {keyword!r} is not enforced without 'type'"
                )
            return
        kinds = {TYPES[name] for name in types}
        check_kinds(schema, kinds, types, place, self.found)
        for keyword, value in schema.items():
            if keyword in KEYWORDS and KEYWORDS[keyword].kind in kinds:
                self.within(keyword, value, (*place, keyword))

    def within(self, keyword: str, value: Any, place: Place) -> None:
        """Check the schemas within a keyword of objects or arrays."""
        if keyword in ("properties", "patternProperties"):
            self.schemas(value, place)
        elif keyword == "prefixItems":
            for index, item in enumerate(value):
                self.schema(item, (*place, index))
        elif keyword in ("items", "additionalProperties") and value is not False:
            self.schema(value, place)


_FORM_CHECKS: Mapping[str, Callable[[_Checker, dict[str, Any], Place], None]] = {
    "$ref": _Checker.reference,
    "const": _Checker.values,
    "enum": _Checker.values,
    "anyOf": _Checker.branches,
    "oneOf": _Checker.branches,
    "allOf": _Checker.branches,
}


def read_types(schema: dict[str, Any], place: Place) -> tuple[str, ...] | None:
    """The types that `type` names; None where it is absent. Raises InvalidSchema."""
    if "type" not in schema:
        return None
    given = schema["type"]
    names = given if isinstance(given, list) else [given]
    if (
        not names
        or not all(isinstance(name, str) and name in TYPES for name in names)
        or len(set(names)) < len(names)
    ):
        raise InvalidSchema((*place, "type"), f"must be one or several of {', '.join(TYPES)}")
    return tuple(names)


def _implied_types(schema: dict[str, Any]) -> tuple[str, ...] | None:
    """What the grammar library takes a schema without `type` for."""
    if "properties" in schema or "additionalProperties" in schema:
        return ("object",)
    return ("array",) if "items" in schema or "prefixItems" in schema else None


def _is_of_type(value: Any, name: str) -> bool:
    match value:
        case None:
            return name == "null"
        case bool():
            return name == "boolean"
        case int():
            return name in ("integer", "number")
        case float():
            return name == "number" or (name == "integer" and value.is_integer())
        case str():
            return name == "string"
        case list():
            return name == "array"
        case _:
            return name == "object"


def _numbers(value: Any) -> Iterator[int]:
    """The whole numbers within a value."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _numbers(child)
