"""What holds of a schema as a whole.

References do not go in circles, recursion can terminate, and what it costs to combine schemas is bounded.
Where the branches of `oneOf` exclude each other, it becomes `anyOf`.
"""

import json
from collections.abc import Collection, Sequence

from pydantic import JsonValue

from phiserve.constraints.constraint import SchemaPath, UnsupportedConstraint
from phiserve.constraints.keywords import (
    MAX_COMBINED_PATTERNS,
    MAX_EXCLUSIVE,
    MAX_MULTIPLE,
    MAX_RECURSIVE_REFERENCES,
)
from phiserve.constraints.recursion import in_circles
from phiserve.constraints.schema_nodes import Node, reachable
from phiserve.constraints.schema_values import multiple_digits


def check_whole(nodes: Sequence[Node]) -> None:
    """Raises UnsupportedConstraint, naming the reference or branch at fault. Rewrites `oneOf`."""
    _check_circles(nodes)
    _check_ends(nodes)
    _check_costs(nodes)
    _check_recursion(nodes)
    for node in nodes:
        if options := node.lists.pop("oneOf", None):
            _check_exclusive(options, (*node.path, "oneOf"))
            node.lists.setdefault("allOf", []).append(Node(node.path, lists={"anyOf": options}))


def _check_circles(nodes: Sequence[Node]) -> None:
    """Refuse references that come back to where they began with nothing said in between."""
    finished: set[Node] = set()
    for start in nodes:
        path: dict[Node, None] = {}  # in order
        waiting = [(start, False)]
        while waiting:
            node, is_done = waiting.pop()
            if is_done:
                finished.add(path.popitem()[0])
            elif node in path:
                raise UnsupportedConstraint(
                    "leads back to itself without anything in between, and would go on for ever",
                    (*_first_reference(path).path, "$ref"),
                )
            elif node not in finished:
                path[node] = None
                waiting.append((node, True))
                waiting += [(other, False) for other in node.same_value()]


def _check_ends(nodes: Sequence[Node]) -> None:
    """Refuse what no finite answer can follow, such as an object that must hold another of its kind."""
    users: dict[Node, list[Node]] = {}
    for node in nodes:
        for child in node.children():
            users.setdefault(child, []).append(node)
    ending: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in ending and _has_end(node, ending):
            ending.add(node)
            waiting += users.get(node, ())
    endless = [node for node in nodes if node not in ending]
    if endless:
        raise UnsupportedConstraint(
            "leads back to what must hold it again and again: no answer could ever be finished",
            (*_first_reference(endless).path, "$ref"),
        )


def _check_recursion(nodes: Sequence[Node]) -> None:
    """Refuse schemas that refer to each other so often that a step would take long."""
    if sum(node.target is not None for node in nodes) <= MAX_RECURSIVE_REFERENCES:
        return
    recursive = in_circles({node: [*node.children()] for node in reachable([*nodes])})
    references = [node for node in nodes if node in recursive and node.target in recursive]
    if len(references) > MAX_RECURSIVE_REFERENCES:
        raise UnsupportedConstraint(
            f"is one of {len(references)} references of schemas that lead back to themselves; at most "
            f"{MAX_RECURSIVE_REFERENCES} are supported",
            (*references[MAX_RECURSIVE_REFERENCES].path, "$ref"),
        )


def _has_end(node: Node, ending: Collection[Node]) -> bool:
    """Whether some answer to a schema is finite.

    `ending`: the schemas of which that is known. Schemas that no answer at all follows are left to the
    library.
    """
    if node.target is not None and node.target not in ending:
        return False
    if not all(child in ending for child in node.lists.get("allOf", ())):
        return False
    for keyword in ("anyOf", "oneOf"):
        if keyword in node.lists and not any(child in ending for child in node.lists[keyword]):
            return False
    if node.values is not None or not node.types or set(node.types) - {"object", "array"}:
        return True
    return ("object" in node.types and _object_has_end(node, ending)) or (
        "array" in node.types and _array_has_end(node, ending)
    )


def _object_has_end(node: Node, ending: Collection[Node]) -> bool:
    needed = [node.properties[name] for name in node.required if name in node.properties]
    rest = node.single.get("additionalProperties")
    free = [*node.properties.values(), *node.named.get("patternProperties", {}).values()]
    free += [] if rest is None else [rest]
    enough = not node.keywords.get("minProperties") or not free or any(child in ending for child in free)
    return enough and all(child in ending for child in needed)


def _array_has_end(node: Node, ending: Collection[Node]) -> bool:
    given = node.keywords.get("minItems", 0)
    least, prefix = given if isinstance(given, int) else 0, node.lists.get("prefixItems", [])
    items = node.single.get("items")
    needed = [*prefix[:least], *([items] if items is not None and least > len(prefix) else [])]
    return all(child in ending for child in needed)


def _first_reference(nodes: Collection[Node]) -> Node:
    """The first node with a `$ref` among these; there is one in every circle."""
    return min(
        (node for node in nodes if node.target is not None), key=lambda node: list(map(str, node.path))
    )


def _check_costs(nodes: Sequence[Node]) -> None:
    """Bound what is worked out when several schemas are about the same value."""
    patterns, multiple = 0, 1
    roots = [node for node in nodes if node.is_combined]
    for node in filter(set(reachable(roots)).__contains__, nodes):
        patterns += "pattern" in node.keywords
        if patterns > MAX_COMBINED_PATTERNS:
            raise UnsupportedConstraint(
                f"is one of more than {MAX_COMBINED_PATTERNS} patterns in schemas that are combined",
                (*node.path, "pattern"),
            )
        step = node.keywords.get("multipleOf")
        if isinstance(step, int | float):
            multiple *= multiple_digits(step)
            if multiple > MAX_MULTIPLE:
                raise UnsupportedConstraint(
                    f"comes to multiples of more than {MAX_MULTIPLE} with others that are combined",
                    (*node.path, "multipleOf"),
                )


def _check_exclusive(options: list[Node], path: SchemaPath) -> None:
    """Refuse `oneOf` unless it is plain that no value fits two of its branches.

    The library would judge by objects as they are closed here.
    """
    if len(options) > MAX_EXCLUSIVE:
        raise UnsupportedConstraint(f"has more than {MAX_EXCLUSIVE} branches", path)
    resolved = list(map(_resolve, options))
    for index, option in enumerate(resolved):
        if not all(_exclude_each_other(other, option) for other in resolved[:index]):
            raise UnsupportedConstraint(
                "a value may fit this and another branch of 'oneOf'; use 'anyOf'", (*path, index)
            )


def _resolve(node: Node) -> Node:
    """The schema that a chain of references ends at."""
    while node.target is not None and node.is_empty:
        node = node.target
    return node


def _exclude_each_other(one: Node, other: Node) -> bool:
    """Whether no value can fit both, as far as values, types and constant properties tell."""
    values, more = _comparable_values(one), _comparable_values(other)
    if values is not None and more is not None:
        return not values & more
    types, others = _plain_types(one, values), _plain_types(other, more)
    if types is None or others is None:
        return False
    return not types & others or (types == others == {"object"} and _differ_by_property(one, other))


def _differ_by_property(one: Node, other: Node) -> bool:
    """Whether two objects exclude each other by a property.

    Both require it and allow different values, or one requires what the other does not have.
    """
    if _lacks_required(one, other) or _lacks_required(other, one):
        return True
    for name in {*one.required} & {*other.required} & one.properties.keys() & other.properties.keys():
        values = _comparable_values(_resolve(one.properties[name]))
        more = _comparable_values(_resolve(other.properties[name]))
        if values is not None and more is not None and not values & more:
            return True
    return False


def _lacks_required(one: Node, other: Node) -> bool:
    is_plain = one.is_closed and "patternProperties" not in one.named
    return is_plain and not one.properties.keys() >= {*other.required}


def _plain_types(node: Node, values: set[str] | None) -> set[str] | None:
    """The types a value may have; whole numbers are numbers. None where they are not plain."""
    if values is not None:
        return {value.partition(" ")[0] for value in values}
    if not node.types:
        return None
    return {"number" if name == "integer" else name for name in node.types}


def _comparable_values(node: Node) -> set[str] | None:
    return None if node.values is None else set(map(_comparable, node.values))


def _comparable(value: JsonValue) -> str:
    """Equal exactly for values that JSON Schema holds equal; begins with the type."""
    match value:
        case bool():
            return f"boolean {value}"
        case int() | float():
            return f"number {float(value)!r}"
        case str():
            return f"string {value}"
        case None:
            return "null "
        case list():
            return f"array {json.dumps([_comparable(item) for item in value])}"
    return f"object {json.dumps(sorted((key, _comparable(item)) for key, item in value.items()))}"
