"""A JSON schema that has been read: schemas as nodes, and what they say together."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from phiserve.constraints.constraint import SchemaPath

BRANCHES = ("allOf", "anyOf", "oneOf")
_OBJECTS = (
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "minProperties",
    "maxProperties",
)


@dataclass(eq=False, slots=True)
class Node:
    """One schema. Keywords that hold schemas are apart from those that hold none, and `$ref` is a node."""

    path: SchemaPath
    keywords: dict[str, JsonValue] = field(default_factory=dict)
    lists: dict[str, list["Node"]] = field(default_factory=dict)
    named: dict[str, dict[str, "Node"]] = field(default_factory=dict)
    single: dict[str, "Node"] = field(default_factory=dict)
    target: "Node | None" = None
    allows_nothing: bool = False

    @property
    def types(self) -> tuple[str, ...]:
        """The types that `type` names; () where it is absent."""
        given = self.keywords.get("type", [])
        return tuple(map(str, given if isinstance(given, list) else [given]))

    @property
    def required(self) -> list[str]:
        """Names that `required` lists."""
        given = self.keywords.get("required", [])
        return list(map(str, given)) if isinstance(given, list) else []

    @property
    def values(self) -> list[JsonValue] | None:
        """What `const` or `enum` allows; None where there is neither."""
        if "const" in self.keywords:
            return [self.keywords["const"]]
        given = self.keywords.get("enum")
        return given if isinstance(given, list) else None

    @property
    def properties(self) -> dict[str, "Node"]:
        """Schemas of `properties`."""
        return self.named.get("properties", {})

    def same_value(self) -> Iterator["Node"]:
        """Schemas that are about the very value that this one is about."""
        if self.target is not None:
            yield self.target
        for keyword in BRANCHES:
            yield from self.lists.get(keyword, ())

    def children(self) -> Iterator["Node"]:
        """All schemas that this one leads to."""
        if self.target is not None:
            yield self.target
        for nodes in self.lists.values():
            yield from nodes
        for by_name in self.named.values():
            yield from by_name.values()
        yield from self.single.values()

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing, but for a reference perhaps."""
        return not (self.keywords or self.lists or self.named or self.single or self.allows_nothing)

    @property
    def is_closed(self) -> bool:
        """Whether it allows no names but those it describes."""
        rest = self.single.get("additionalProperties")
        return rest is not None and rest.allows_nothing

    @property
    def is_combined(self) -> bool:
        """Whether several schemas say together what an object is."""
        own = any(
            keyword in part for keyword in _OBJECTS for part in (self.keywords, self.named, self.single)
        )
        branches = sum(keyword in self.lists for keyword in ("anyOf", "oneOf"))
        whole = len(self.lists.get("allOf", ())) + branches + (self.target is not None)
        return whole + (own or self.values is not None) > 1

    def group(self, *, certain: bool = False) -> list["Node"]:
        """The schema and all about the same value; `certain`: only those that hold for every such value."""
        found: dict[Node, None] = {}  # in order
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found[node] = None
                target = [] if node.target is None else [node.target]
                same = [*target, *node.lists.get("allOf", ())] if certain else [*node.same_value()]
                waiting += reversed(same)
        return list(found)


def reachable(roots: list[Node]) -> list[Node]:
    """All nodes that these lead to, and these."""
    found: dict[int, Node] = {}
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if id(node) not in found:
            found[id(node)] = node
            waiting += node.children()
    return list(found.values())
