"""JSON schemas as constraints.

Each keyword of JSON Schema's holds for every answer, or the schema is refused by the keyword's name and path.
"""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from pydantic import JsonValue

from phiserve.constraints.constraint import InvalidSchema, SchemaPath, UnsupportedConstraint
from phiserve.constraints.keywords import KEYWORDS, MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, REFUSED
from phiserve.constraints.lark import check_compiles, schema_grammar
from phiserve.constraints.schema_checks import check_whole
from phiserve.constraints.schema_nodes import Node, reachable
from phiserve.constraints.schema_values import (
    Totals,
    allow_null,
    bound_length,
    check_format,
    check_object,
    check_pattern,
    read_keyword,
    write_names,
)
from phiserve.constraints.schema_writer import write_schema

_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
_SINGLE = ("items", "additionalProperties")
_SUBJECTS = {
    "oneOf": ("oneOf",),
    "circular references": ("$ref",),
    "min/maxProperties": ("minProperties", "maxProperties"),
    "patternProperty": ("patternProperties",),
    "required property": ("required",),
    "number range": ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
    "integer range": ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
    "regex": ("pattern", "minLength", "maxLength", "format"),
    "incompatible types": ("allOf", "type"),
}
"""Words of the library's, and the keywords that they are about. Others that it names it names as they are."""

_ANY_OBJECT: Mapping[str, JsonValue] = {"type": "object"}


def json_schema_grammar(schema: Mapping[str, JsonValue] = _ANY_OBJECT) -> str:
    """A grammar of JSON without white space that follows a schema, by default of any object.

    Raises InvalidSchema, or UnsupportedConstraint for what is valid and would not be enforced; both know the
    path.
    """
    _check_size(schema)
    reader = _Reader()
    root = reader.schema(dict(schema), (), ())
    reader.resolve()
    nodes = list(dict.fromkeys([*reader.nodes.values(), *reachable([root])]))
    check_whole(nodes)
    grammar = schema_grammar(write_schema(root))
    try:
        check_compiles(grammar)
    except UnsupportedConstraint as error:
        raise UnsupportedConstraint(error.reason, _path_of(error.reason, nodes)) from None
    return grammar


def _check_size(schema: Mapping[str, JsonValue]) -> None:
    level = 0
    nodes: list[Mapping[str, JsonValue] | list[JsonValue]] = [schema]
    while nodes:
        level += 1
        if level > MAX_SCHEMA_DEPTH:
            raise UnsupportedConstraint(f"the schema is nested more than {MAX_SCHEMA_DEPTH} levels deep")
        nodes = [
            child
            for parent in nodes
            for child in (parent if isinstance(parent, list) else parent.values())
            if isinstance(child, dict | list)
        ]
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, UnicodeEncodeError):
        raise InvalidSchema("the schema holds a number or a text that JSON does not have") from None
    if size > MAX_SCHEMA_BYTES:
        raise UnsupportedConstraint(f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")


def _path_of(sentence: str, nodes: list[Node]) -> SchemaPath:
    """The first schema that holds what the library's sentence is about, which names no path."""
    subjects = next((keywords for words, keywords in _SUBJECTS.items() if words in sentence), None)
    if subjects is None:
        subjects = tuple(keyword for keyword in KEYWORDS if re.search(rf"(?<![\w$]){keyword}\b", sentence))
    for node in nodes:
        held = node.keywords.keys() | node.lists.keys() | node.named.keys() | node.single.keys()
        for keyword in subjects:
            if keyword in held or (keyword == "$ref" and node.target is not None):
                return (*node.path, keyword)
    return ()


class _Reader:
    """Goes through a schema, keyword by keyword; `base` is the path that `#` means, which `$id` moves."""

    def __init__(self) -> None:
        self.nodes: dict[SchemaPath, Node] = {}
        self.references: list[tuple[Node, str, SchemaPath]] = []
        self.name_schemas: list[tuple[Node, Node]] = []
        self.totals = Totals()

    def schema(self, schema: JsonValue, path: SchemaPath, base: SchemaPath) -> Node:
        """Read one schema and all within it."""
        if not isinstance(schema, dict | bool):
            raise InvalidSchema("a schema must be an object, true or false", path)
        node = self.nodes[path] = Node(path, allows_nothing=schema is False)
        if isinstance(schema, bool):
            return node
        if not str(schema.get("$id", "#")).startswith("#"):
            base = path
        for keyword, value in schema.items():
            where = (*path, keyword)
            if keyword in REFUSED:
                raise UnsupportedConstraint(
                    f"the keyword {keyword!r} is not supported; it would not be enforced", where
                )
            if keyword not in KEYWORDS:
                continue  # an annotation
            if reader := _READERS.get(keyword):
                reader(self, node, value, where, base)
            elif keyword != "additionalItems":
                node.keywords |= read_keyword(keyword, value, where, self.totals)
        if "additionalItems" in schema:
            self.additional_items(node, schema, base)
        if schema.get("nullable") is True:
            allow_null(node)
        bound_length(node, schema.get("pattern"))
        check_format(node)
        check_object(node)
        return node

    def schemas(self, node: Node, value: JsonValue, path: SchemaPath, base: SchemaPath) -> None:
        """Read a list of schemas."""
        if not isinstance(value, list) or not value:
            raise InvalidSchema("must be a list of at least one schema", path)
        keyword = "prefixItems" if path[-1] == "items" else str(path[-1])
        if keyword in node.lists:
            raise InvalidSchema("is given twice, as 'items' and as 'prefixItems'", path)
        node.lists[keyword] = [self.schema(child, (*path, index), base) for index, child in enumerate(value)]

    def by_name(self, node: Node, value: JsonValue, path: SchemaPath, base: SchemaPath) -> None:
        """Read schemas by name. Definitions are read for what leads to them."""
        if not isinstance(value, dict):
            raise InvalidSchema("must be an object of schemas", path)
        nodes: dict[str, Node] = {}
        for name, child in value.items():
            where = (*path, name)
            written = name
            if path[-1] == "patternProperties":
                written = check_pattern(name, where, is_of_names=True)
            if written in nodes:
                raise UnsupportedConstraint("is the same pattern as another", where)
            nodes[written] = self.schema(child, where, base)
        if path[-1] not in ("$defs", "definitions"):
            node.named[str(path[-1])] = nodes

    def single(self, node: Node, value: JsonValue, path: SchemaPath, base: SchemaPath) -> None:
        """Read `items`, which draft 7 allows to be a list, and `additionalProperties`."""
        if isinstance(value, list) and path[-1] == "items":
            self.schemas(node, value, path, base)
        else:
            node.single[str(path[-1])] = self.schema(value, path, base)

    def additional_items(self, node: Node, schema: dict[str, JsonValue], base: SchemaPath) -> None:
        """Read draft 7's `additionalItems`, which are today's `items`."""
        where = (*node.path, "additionalItems")
        if not isinstance(schema.get("items"), list):
            raise UnsupportedConstraint("is not enforced but beside a list of 'items'", where)
        node.single["items"] = self.schema(schema["additionalItems"], where, base)

    def property_names(self, node: Node, value: JsonValue, path: SchemaPath, base: SchemaPath) -> None:
        """Read a schema of names."""
        self.name_schemas.append((node, self.schema(value, path, base)))

    def reference(self, node: Node, value: JsonValue, path: SchemaPath, base: SchemaPath) -> None:
        """Note a reference; where it leads is known only when all has been read."""
        if not isinstance(value, str):
            raise InvalidSchema("must be a string", path)
        self.references.append((node, value, base))

    def resolve(self) -> None:
        """Lead references to their schemas, and make patterns of names."""
        by_pointer = {tuple(map(str, path)): node for path, node in self.nodes.items()}
        for node, reference, base in self.references:
            where = (*node.path, "$ref")
            pointer, *steps = reference.split("/")
            if pointer != "#":
                raise UnsupportedConstraint(
                    f"{reference[:100]!r} is no path from '#' and is not followed", where
                )
            path = (unquote(step).replace("~1", "/").replace("~0", "~") for step in steps)
            target = by_pointer.get((*map(str, base), *path))
            if target is None:
                raise UnsupportedConstraint(f"{reference[:100]!r} leads to no schema", where)
            node.target = target
        for node, names in self.name_schemas:
            write_names(node, names)


_Read = Callable[[_Reader, Node, JsonValue, SchemaPath, SchemaPath], None]
_READERS: Mapping[str, _Read] = {
    **dict.fromkeys(_LISTS, _Reader.schemas),
    **dict.fromkeys(_BY_NAME, _Reader.by_name),
    **dict.fromkeys(_SINGLE, _Reader.single),
    "propertyNames": _Reader.property_names,
    "$ref": _Reader.reference,
}
