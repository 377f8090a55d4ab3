"""Keywords that hold no schemas: whether they are well-formed and within what the library enforces."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from phiserve.constraints.constraint import InvalidSchema, SchemaPath, UnsupportedConstraint
from phiserve.constraints.keywords import (
    FORMATS,
    MAX_COUNTED_PROPERTIES,
    MAX_DECIMALS,
    MAX_ITEMS,
    MAX_LENGTH,
    MAX_MULTIPLE,
    MAX_NUMBER,
    MAX_PATTERN_CHARACTERS,
    MAX_PROPERTIES,
    TYPES,
    UNENFORCED_FORMATS,
)
from phiserve.constraints.look_ahead import MAX_LENGTHS, without_look_ahead
from phiserve.constraints.regex import translate
from phiserve.constraints.schema_nodes import Node


@dataclass(slots=True)
class Totals:
    """What adds up over a schema, since compiling takes as long."""

    items: int = 0
    multiples: int = 0

    def add_items(self, count: int, path: SchemaPath) -> None:
        """Count items."""
        self.items += count
        if self.items > MAX_ITEMS:
            raise UnsupportedConstraint(f"brings all counts of items to more than {MAX_ITEMS}", path)

    def add_multiple(self, digits: int, path: SchemaPath) -> None:
        """Count the digits of `multipleOf`."""
        self.multiples += digits
        if self.multiples > MAX_MULTIPLE:
            raise UnsupportedConstraint(
                f"brings the digits of all 'multipleOf' to more than {MAX_MULTIPLE}", path
            )


def read_keyword(keyword: str, value: JsonValue, path: SchemaPath, totals: Totals) -> dict[str, JsonValue]:
    """A keyword as the library reads it. Raises InvalidSchema or UnsupportedConstraint."""
    if keyword == "uniqueItems" and value is False:
        return {}
    return {keyword: _READERS[keyword](value, path, totals)}


def _type(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    names = value if isinstance(value, list) else [value]
    known = [name for name in names if isinstance(name, str) and name in TYPES]
    if not names or len(set(known)) < len(names):
        raise InvalidSchema(f"must be one or several of {', '.join(TYPES)}", path)
    return value


def _values(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    if path[-1] == "enum" and (not isinstance(value, list) or not value):
        raise InvalidSchema("must be a list of at least one value", path)
    if any(abs(number) > MAX_NUMBER for number in _numbers(value)):
        raise UnsupportedConstraint(f"holds a number beyond {MAX_NUMBER}", path)
    return value


def _numbers(value: JsonValue) -> Iterator[float]:
    """The numbers within a value."""
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _numbers(child)


def _names(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise InvalidSchema("must be a list of names", path)
    return value


def _count(value: JsonValue, path: SchemaPath, limit: int) -> int:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(whole, bool) or not isinstance(whole, int) or whole < 0:
        raise InvalidSchema("must be a whole number from 0 on", path)
    if whole > limit:
        raise UnsupportedConstraint(f"is more than {limit}", path)
    return whole


def _item_count(value: JsonValue, path: SchemaPath, totals: Totals) -> JsonValue:
    count = _count(value, path, MAX_ITEMS)
    totals.add_items(count, path)
    return count


def _property_count(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    return _count(value, path, MAX_ITEMS)


def _length(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    return _count(value, path, MAX_LENGTH)


def _bound(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    """A bound, narrowed to `MAX_NUMBER` where it lies further out than any number of an answer may be."""
    if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        outward = 1 if str(path[-1]) in ("maximum", "exclusiveMaximum") else -1
        if value * outward > 0:
            return MAX_NUMBER * outward
    return _number(value, path)


def _number(value: JsonValue, path: SchemaPath) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidSchema("must be a number", path)
    if abs(value) > MAX_NUMBER:
        raise UnsupportedConstraint(f"is beyond {MAX_NUMBER}", path)
    if int(Decimal(repr(value)).normalize().as_tuple().exponent) < -MAX_DECIMALS:
        raise UnsupportedConstraint(f"has more than {MAX_DECIMALS} decimals", path)
    return value


def _multiple(value: JsonValue, path: SchemaPath, totals: Totals) -> JsonValue:
    number = _number(value, path)
    if number <= 0:
        raise InvalidSchema("must be more than 0", path)
    totals.add_multiple(multiple_digits(number), path)
    return number


def multiple_digits(value: float) -> int:
    """The digits of a number without its point: 150 for 1.5e2, 125 for 0.125."""
    _, digits, exponent = Decimal(repr(value)).as_tuple()
    whole = int("".join(map(str, digits)))
    return whole * 10 ** max(0, int(exponent)) if whole else 0


def _pattern(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    return check_pattern(value, path)


def check_pattern(pattern: JsonValue, path: SchemaPath, *, is_of_names: bool = False) -> str:
    """A pattern as the library reads it. Raises InvalidSchema or UnsupportedConstraint.

    `is_of_names`: no length can be held beside it, as look-ahead may ask for.
    """
    if not isinstance(pattern, str):
        raise InvalidSchema("must be a string", path)
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise UnsupportedConstraint(f"the pattern has more than {MAX_PATTERN_CHARACTERS} characters", path)
    try:
        is_kept = is_of_names and pattern in MAX_LENGTHS
        return translate(pattern if is_kept else without_look_ahead(pattern))
    except UnsupportedConstraint as error:
        raise UnsupportedConstraint(f"the pattern {error.reason}", path) from None


def _format(value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    if not isinstance(value, str):
        raise InvalidSchema("must be a string", path)
    return value


def _unique(_value: JsonValue, path: SchemaPath, _: Totals) -> JsonValue:
    raise UnsupportedConstraint("is not enforced", path)


_READERS: Mapping[str, Callable[[JsonValue, SchemaPath, Totals], JsonValue]] = {
    "type": _type,
    "required": _names,
    "pattern": _pattern,
    "format": _format,
    "multipleOf": _multiple,
    "uniqueItems": _unique,
    **dict.fromkeys(("enum", "const"), _values),
    **dict.fromkeys(("minItems", "maxItems"), _item_count),
    **dict.fromkeys(("minProperties", "maxProperties"), _property_count),
    **dict.fromkeys(("minLength", "maxLength"), _length),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _bound),
}


def allow_null(node: Node) -> None:
    """OpenAPI 3.0's `nullable`: null is of the types too, where `type` names any.

    An `enum` beside it must name null all the same, as OpenAPI 3.0.3 says.
    """
    if node.types:
        node.keywords["type"] = [*dict.fromkeys((*node.types, "null"))]


def bound_length(node: Node, pattern: JsonValue) -> None:
    """A pattern may bound the length by look-ahead, which is left out of what stands for it."""
    most = MAX_LENGTHS.get(pattern) if isinstance(pattern, str) else None
    given = node.keywords.get("maxLength", most)
    if most is not None and isinstance(given, int):
        node.keywords["maxLength"] = min(given, most)


def check_format(node: Node) -> None:
    """Leave out a format that says nothing: one that no draft knows, or of what is no string.

    Raises UnsupportedConstraint for one that would not be enforced.
    """
    name = node.keywords.get("format")
    if name is None or name in FORMATS:
        return
    if name in UNENFORCED_FORMATS and (not node.types or "string" in node.types):
        raise UnsupportedConstraint(
            f"must be one of {', '.join(FORMATS)}; others are not enforced", (*node.path, "format")
        )
    del node.keywords["format"]


def check_object(node: Node) -> None:
    """Check keywords of objects that depend on each other. Raises UnsupportedConstraint."""
    is_counted = {"minProperties", "maxProperties"} & node.keywords.keys()
    most = MAX_COUNTED_PROPERTIES if is_counted else MAX_PROPERTIES
    if len(node.properties) > most:
        raise UnsupportedConstraint(f"are more than {most}", (*node.path, "properties"))
    least = node.keywords.get("minProperties", 0)
    if isinstance(least, int) and least > max(1, len(set(node.required))):
        raise UnsupportedConstraint(
            "is more than 1 and more than are 'required'; others may come twice and are not counted",
            (*node.path, "minProperties"),
        )
    highest = [
        node.keywords[keyword] for keyword in ("maximum", "exclusiveMaximum") if keyword in node.keywords
    ]
    if "multipleOf" in node.keywords and any(isinstance(most, int | float) and most < 0 for most in highest):
        raise UnsupportedConstraint("multiples below 0 are not supported", (*node.path, "multipleOf"))


def write_names(node: Node, names: Node) -> None:
    """`propertyNames` as properties, or a pattern of them, beside which there are no others."""
    where = names.path
    while names.target is not None and names.is_empty:
        names = names.target
    written = _name_keyword(names)
    if written is None:
        raise UnsupportedConstraint(
            "names are enforced by 'enum', 'const', 'pattern' or lengths alone", where
        )
    keyword, allowed = written
    if not allowed:
        return
    if node.named:
        raise UnsupportedConstraint("is not enforced beside 'properties' or 'patternProperties'", where)
    rest = node.single.pop("additionalProperties", Node(where))
    node.named[keyword] = {name: Node(rest.path, target=rest) for name in allowed}
    node.single["additionalProperties"] = Node(where, allows_nothing=True)
    check_object(node)


def _name_keyword(names: Node) -> tuple[str, list[str]] | None:
    """The keyword that stands for a schema of names, and the names or patterns that it allows.

    `properties` or `patternProperties`; no pattern where any name is allowed. None where neither can say it.
    """
    kept = names.keywords.keys() - {"type"}
    held = names.lists or names.named or names.single or names.target is not None or names.allows_nothing
    if held or (names.types and "string" not in names.types):
        return None
    texts = [text for text in names.values or () if isinstance(text, str)]
    if texts and len(kept) == 1:
        return "properties", texts
    if kept == {"pattern"}:
        return "patternProperties", [str(names.keywords["pattern"])]
    if kept and kept <= {"minLength", "maxLength"}:
        least, most = names.keywords.get("minLength", 0), names.keywords.get("maxLength", "")
        return "patternProperties", [f"^(?s:.){{{least},{most}}}$"]
    return None if kept else ("patternProperties", [])
