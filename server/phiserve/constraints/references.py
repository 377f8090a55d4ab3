"""What holds of a schema as a whole: references lead somewhere and not in circles, all can come to an end,
`oneOf` means one.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from phiserve.constraints.keywords import MAX_EXCLUSIVE
from phiserve.constraints.value_types import Found, Place, UnsupportedSchema

_Schema = Any
_BRANCHES = ("anyOf", "oneOf", "allOf")


def check_references(found: Found) -> None:
    """Raises UnsupportedSchema, naming the reference or branch at fault."""
    whole = _Whole(found.schemas)
    for place, schema in found.schemas.items():
        if "$ref" in schema:
            whole.check_target(schema["$ref"], (*place, "$ref"))
    for place in found.schemas:
        whole.check_circles(place)
    for place, reference in found.name_references.items():
        whole.check_target(reference, place)
        whole.check_names(reference, place)
    whole.check_ends()
    for place, schema in found.schemas.items():
        if "oneOf" in schema and "$ref" not in schema:
            whole.check_exclusive(schema["oneOf"], (*place, "oneOf"))


class _Whole:
    """All schemas by place, and which place each reference means."""

    def __init__(self, schemas: Mapping[Place, dict[str, Any]]) -> None:
        self.schemas = schemas
        self.targets = {_pointer(place): schema for place, schema in schemas.items()}
        self.finished: set[int] = set()

    def check_target(self, reference: str, place: Place) -> None:
        """Refuse a reference that leads out of the schema, or nowhere."""
        if not reference.startswith("#"):
            raise UnsupportedSchema(
                place, f"{reference[:100]!r} is outside of the schema and is not followed"
            )
        if reference not in self.targets:
            raise UnsupportedSchema(
                place, f"{reference[:100]!r} leads to no schema by the names of objects alone"
            )

    def check_names(self, reference: str, place: Place) -> None:
        """Refuse a reference for names unless it leads to texts alone."""
        target = self.resolve(self.targets[reference])
        types = self.types(target, self.values(target))
        if types != {"string"}:
            raise UnsupportedSchema(place, "names are strings, and this leads to what may be something else")

    def check_circles(self, place: Place) -> None:
        """Refuse references that come back to where they began with nothing said in between."""
        path: dict[int, None] = {}  # in order
        waiting: list[tuple[_Schema, bool]] = [(self.schemas[place], False)]
        while waiting:
            schema, is_done = waiting.pop()
            if is_done:
                self.finished.add(path.popitem()[0])
            elif id(schema) in path:
                where = self.first_reference(path)
                raise UnsupportedSchema(
                    where, "leads back to itself without anything in between, and would go on for ever"
                )
            elif id(schema) not in self.finished:
                path[id(schema)] = None
                waiting.append((schema, True))
                waiting += [(branch, False) for branch in self.same_value(schema)]

    def same_value(self, schema: _Schema) -> Iterator[_Schema]:
        """Schemas that are about the very value that this one is about."""
        if not isinstance(schema, dict):
            return
        if "$ref" in schema:
            yield self.targets[schema["$ref"]]
            return
        for keyword in _BRANCHES:
            yield from schema.get(keyword, ())

    def check_ends(self) -> None:
        """Refuse what no finite answer can follow, such as an object that must hold another of its kind."""
        users: dict[int, list[_Schema]] = {}
        for schema in self.schemas.values():
            for part in self.parts(schema):
                users.setdefault(id(part), []).append(schema)
        ending: set[int] = set()
        waiting = list(self.schemas.values())
        while waiting:
            schema = waiting.pop()
            if id(schema) not in ending and self.has_end(schema, ending):
                ending.add(id(schema))
                waiting += users.get(id(schema), ())
        endless = {id(schema) for schema in self.schemas.values()} - ending
        if endless:
            where = self.first_reference(endless)
            raise UnsupportedSchema(
                where, "leads back to what must hold it again and again: no answer could ever be finished"
            )

    def parts(self, schema: _Schema) -> Iterator[_Schema]:
        """Schemas that decide whether an answer to this one can be finite."""
        yield from self.same_value(schema)
        yield from schema.get("properties", {}).values()
        yield from schema.get("prefixItems", ())
        yield schema.get("items", True)

    def first_reference(self, circle: Collection[int]) -> Place:
        """The place of the first `$ref` among these schemas; there is one in every circle."""
        return next(
            (*place, "$ref")
            for place, schema in self.schemas.items()
            if id(schema) in circle and "$ref" in schema
        )

    def has_end(self, schema: _Schema, ending: set[int]) -> bool:
        """Whether some answer to a schema is finite, given those of which that is known."""

        def ends(child: _Schema) -> bool:
            return not isinstance(child, dict) or id(child) in ending

        if {"const", "enum"} & schema.keys():
            return True
        if branches := list(self.same_value(schema)):
            return any(map(ends, branches))
        types = set(_types(schema))
        if not types or types - {"object", "array"}:
            return True
        properties = schema.get("properties", {})
        needed = [properties[name] for name in schema.get("required", ())]
        least, prefix = int(schema.get("minItems", 0)), schema.get("prefixItems", [])
        items = [*prefix[:least], *([schema.get("items", True)] if least > len(prefix) else [])]
        enough = sum(map(ends, properties.values())) >= schema.get("minProperties", 0)
        return ("object" in types and enough and all(map(ends, needed))) or (
            "array" in types and all(map(ends, items))
        )

    def check_exclusive(self, options: list[_Schema], place: Place) -> None:
        """Refuse `oneOf` unless it is plain that no value fits two of its branches, since that would not be
        enforced.
        """
        if len(options) > MAX_EXCLUSIVE:
            raise UnsupportedSchema(place, f"has more than {MAX_EXCLUSIVE} branches")
        resolved = [self.resolve(option) for option in options]
        for index, option in enumerate(resolved):
            for other in resolved[:index]:
                if not self.exclude_each_other(other, option):
                    raise UnsupportedSchema(
                        (*place, index), "a value may fit this and another branch of 'oneOf'; use 'anyOf'"
                    )

    def resolve(self, schema: _Schema) -> _Schema:
        """The schema that a chain of references ends at."""
        while isinstance(schema, dict) and ("$ref" in schema or list(schema.get("allOf", ()))):
            schema = next(self.same_value(schema))
        return schema

    def exclude_each_other(self, one: _Schema, other: _Schema) -> bool:
        """Whether no value can fit both, as far as values, types and constant properties tell."""
        values, more = self.values(one), self.values(other)
        if values is not None and more is not None:
            return not values & more
        types, others = self.types(one, values), self.types(other, more)
        if types is None or others is None:
            return False
        return not types & others or (types == others == {"object"} and self.differ_by_property(one, other))

    def values(self, schema: _Schema) -> set[str] | None:
        """The values of `const` or `enum`, in a form to compare."""
        if not isinstance(schema, dict) or not {"const", "enum"} & schema.keys():
            return None
        return {_comparable(value) for value in ([schema["const"]] if "const" in schema else schema["enum"])}

    def types(self, schema: _Schema, values: set[str] | None) -> set[str] | None:
        """The types a value may have; whole numbers are numbers. None where they are not plain."""
        if values is not None:
            return {value.partition(" ")[0] for value in values}
        if not isinstance(schema, dict) or any(keyword in schema for keyword in _BRANCHES):
            return None
        types = _types(schema)
        return {"number" if name == "integer" else name for name in types} if types else None

    def differ_by_property(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        """Whether both require a property for which they allow different values."""
        for name in set(one.get("required", ())) & set(other.get("required", ())):
            values = [self.values(self.resolve(schema["properties"][name])) for schema in (one, other)]
            if values[0] is not None and values[1] is not None and not values[0] & values[1]:
                return True
        return False


def _types(schema: dict[str, Any]) -> tuple[str, ...]:
    """As the grammar library takes them; all of them where nothing is said."""
    match schema.get("type"):
        case str() as name:
            return (name,)
        case list() as names:
            return tuple(names)
    if "properties" in schema or "additionalProperties" in schema:
        return ("object",)
    return ("array",) if "items" in schema or "prefixItems" in schema else ()


def _pointer(place: Place) -> str:
    """As `$ref` writes a place. One that a list or an odd name is on the way to can't be written so that it
    is followed.
    """
    if any(not isinstance(step, str) or not step or set(step) & set("/~%") for step in place):
        return ""
    return "/".join(("#", *map(str, place)))


def _comparable(value: Any) -> str:
    """Equal exactly for values that JSON Schema holds equal; begins with the type."""
    match value:
        case bool():
            return f"boolean {value}"
        case int() | float():
            return f"number {float(value)!r}" if abs(value) < 2**53 else f"number {int(value)}"
        case str():
            return f"string {value}"
        case None:
            return "null "
        case list():
            return f"array {json.dumps([_comparable(item) for item in value])}"
    return f"object {json.dumps(sorted((key, _comparable(item)) for key, item in value.items()))}"
