"""A schema that has been read and checked, as the grammar library enforces it.

Objects are closed: names that a schema leaves free may be written with escapes by the library, so that a
described name could come again under another spelling. Free names are therefore matched by a pattern of all
other names, whose characters are written as they are. `$defs` get names of ours. Values that a schema leaves
open are nested to a depth, so that an answer cannot go on with brackets for ever.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.keywords import MAX_OPEN_DEPTH, MAX_OPTIONAL_PROPERTIES
from phiserve.constraints.regex import all_but
from phiserve.constraints.schema_nodes import Node, reachable

OPTIONS: dict[str, JsonValue] = {
    "whitespace_flexible": False,
    "item_separator": ",",
    "key_separator": ":",
    "coerce_one_of": False,
    "lenient": False,
}
"""llguidance's; without them a client's own would count."""

MAX_NAME_LENGTH = 60
"""Of names that others are told from by a pattern, which is nested as deep."""

_Key = tuple[Node, bool]


def write_schema(root: Node) -> dict[str, JsonValue]:
    """The whole schema. Raises UnsupportedConstraint for free names that cannot be kept apart from others."""
    return _Writer(root).whole()


class _Writer:
    """Writes each schema that `$ref` leads to once for each of the ways that it is used in."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.targets = {node.target for node in reachable([root])}
        self.names: dict[_Key, str] = {}
        self.has_open_values = False

    def whole(self) -> dict[str, JsonValue]:
        """The root, with options and definitions."""
        written = self.use(self.root, is_open=False)
        definitions: dict[str, JsonValue] = {}
        while len(definitions) < len(self.names):
            for (node, is_open), name in list(self.names.items())[len(definitions) :]:
                definitions[name] = self.body(node, is_open)
        if self.has_open_values:
            definitions |= _open_values()
        whole = written if isinstance(written, dict) else {"anyOf": []}
        return {"x-guidance": OPTIONS, "$defs": definitions} | whole

    def use(self, node: Node, *, is_open: bool) -> JsonValue:
        """A schema where it stands. `is_open`: another schema closes the object."""
        if node in self.targets:
            name = self.names.setdefault((node, is_open), str(len(self.names)))
            return {"$ref": f"#/$defs/{name}"}
        return self.body(node, is_open)

    def body(self, node: Node, is_open: bool) -> JsonValue:
        """A schema with all its keywords."""
        if node.allows_nothing:
            return False
        within = is_open or node.is_combined
        written: dict[str, JsonValue] = dict(node.keywords)
        if node.target is not None:
            reference = self.use(node.target, is_open=within)
            written |= reference if isinstance(reference, dict) else {}
        for keyword, nodes in node.lists.items():
            inherits = within and keyword != "prefixItems"
            written[keyword] = [self.use(child, is_open=inherits) for child in nodes]
        for keyword, by_name in node.named.items():
            written[keyword] = {name: self.use(child, is_open=False) for name, child in by_name.items()}
        for keyword, child in node.single.items():
            written[keyword] = self.use(child, is_open=False)
        if not is_open:
            self.close(node, written)
            self.bound_open_values(node, written)
        _check_optional(node, written)
        return written

    def bound_open_values(self, node: Node, written: dict[str, JsonValue]) -> None:
        """Bound how deep items and properties are nested that nothing is said of.

        Schemas that are combined are left as they are: the library would have to combine these too.
        """
        if node.is_combined or node.values is not None or next(node.same_value(), None) is not None:
            return
        for kind, keyword in (("array", "items"), ("object", "additionalProperties")):
            if (not node.types or kind in node.types) and keyword not in written:
                written[keyword] = {"$ref": _open_name(MAX_OPEN_DEPTH)}
                self.has_open_values = True

    def close(self, node: Node, written: dict[str, JsonValue]) -> None:
        """Leave no names free but by patterns, where any are described."""
        group = node.group() if node.is_combined else [node]
        certain = node.group(certain=True) if node.is_combined else [node]
        if not any(part.named for part in group) or any(part.is_closed for part in certain):
            return
        for part in group:
            for keyword in ("additionalProperties", "patternProperties"):
                if len(group) > 1 and keyword in part.single | part.named and not part.is_closed:
                    raise UnsupportedConstraint(
                        f"{keyword!r} is not enforced in schemas that are combined", (*part.path, keyword)
                    )
        described: dict[str, JsonValue] = {name: {} for part in group for name in part.properties}
        own, rest = written.get("properties"), node.single.get("additionalProperties")
        if rest is None:
            described |= {name: {} for part in group for name in _other_names(part) if name not in described}
        else:
            written["patternProperties"] = {self.other_names(node): written["additionalProperties"]}
        written["properties"] = described | (own if isinstance(own, dict) else {})
        written["additionalProperties"] = False

    def other_names(self, node: Node) -> str:
        """A pattern of all names but those of an object's properties."""
        if "patternProperties" in node.named or max(map(len, node.properties), default=0) > MAX_NAME_LENGTH:
            raise UnsupportedConstraint(
                "is not enforced beside 'patternProperties', or names of more than "
                f"{MAX_NAME_LENGTH} characters",
                (*node.path, "additionalProperties"),
            )
        return f"^{all_but(set(node.properties))}$"


def _open_name(depth: int) -> str:
    """A reference to any value of fewer lists and objects within one another."""
    return f"#/$defs/open{depth}"


def _open_values() -> dict[str, JsonValue]:
    """Any value, for each depth up to the greatest; at depth 1 it is neither list nor object."""
    definitions: dict[str, JsonValue] = {"open1": {"type": ["string", "number", "boolean", "null"]}}
    for depth in range(2, MAX_OPEN_DEPTH + 1):
        within: dict[str, JsonValue] = {"$ref": _open_name(depth - 1)}
        definitions[f"open{depth}"] = {"items": within, "additionalProperties": within}
    return definitions


def _check_optional(node: Node, written: Mapping[str, JsonValue]) -> None:
    """Refuse an object that could not be begun: each optional property takes part of a step's limit."""
    properties, required = written.get("properties"), written.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return
    if len(properties) - len(required) > MAX_OPTIONAL_PROPERTIES:
        raise UnsupportedConstraint(
            f"leave more than {MAX_OPTIONAL_PROPERTIES} optional", (*node.path, "properties")
        )


def _other_names(node: Node) -> list[str]:
    """Names that an object must or may have without being described."""
    objects = [value for value in node.values or () if isinstance(value, dict)]
    return [*node.required, *(name for value in objects for name in value)]
