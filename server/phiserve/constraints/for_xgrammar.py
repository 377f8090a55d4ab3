"""Constraints as the grammar library enforces them: the same texts pass, written so that nothing of it is
misread.

xgrammar 0.2.8 lets strings of bounded length hold tabs and other characters that JSON does not allow, `.` be
any character, and patterns of some kinds hold unescaped quotes. So lengths become patterns, and all patterns
name every character that they allow. More than 128 of a class of characters cost it milliseconds a token;
counted in blocks, microseconds.
"""

from typing import Any

from phiserve.constraints.keywords import is_annotation
from phiserve.constraints.regex import parse_regex
from phiserve.constraints.syntax import LAST, Chain, Chars, Choice, Node, Ranges, Repeat, others, without
from phiserve.constraints.value_types import UNHELD

_LARGE_COUNT = 128
_BLOCK = 64
_ANY = Chars(others(()))
_LENGTHS = ((0x00, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, LAST))
"""Characters of as many bytes in UTF-8, without the halves of surrogate pairs."""

_BY_NAME = ("properties", "patternProperties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_COUNTS = ("minItems", "maxItems", "minProperties", "maxProperties")
_SINGLE = ("items", "additionalProperties", "propertyNames")


def engine_regex(node: Node) -> str:
    """A parsed and checked regular expression, for the grammar library."""
    return _write(node, ())


def engine_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A checked schema, for the grammar library. Everything that `$ref` can lead to keeps its place."""
    result: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _BY_NAME:
            result[keyword] = {_name(keyword, name): _schema(child) for name, child in value.items()}
        elif keyword in _LISTS:
            result[keyword] = [_schema(child) for child in value]
        elif keyword in _SINGLE:
            result[keyword] = value if value is False else _schema(value)
        elif keyword == "pattern":
            result[keyword] = _pattern(parse_regex(value))
        elif keyword in _COUNTS:
            result[keyword] = int(value)  # 3.0 is a whole number too, but not to the library
        elif keyword not in ("minLength", "maxLength") and not is_annotation(keyword):
            result[keyword] = value
    if {"minLength", "maxLength"} & schema.keys():
        most = schema.get("maxLength")
        result["pattern"] = _pattern(
            Repeat(_ANY, int(schema.get("minLength", 0)), None if most is None else int(most))
        )
    return _open(result)


def _schema(schema: Any) -> dict[str, Any]:
    return engine_schema(schema) if isinstance(schema, dict) else {}


def _name(keyword: str, name: str) -> str:
    return _pattern(parse_regex(name)) if keyword == "patternProperties" else name


def _open(schema: dict[str, Any]) -> dict[str, Any]:
    """The library takes arrays and objects of which nothing but counts is said for empty ones."""
    types = schema.get("type", ())
    if "array" in types and not {"items", "prefixItems"} & schema.keys():
        schema["items"] = {}
    if (
        "object" in types
        and not {"properties", "additionalProperties", "patternProperties", "propertyNames"} & schema.keys()
    ):
        schema["additionalProperties"] = {}
    return schema


def _pattern(node: Node) -> str:
    return _write(node, UNHELD)


def _write(node: Node, excluded: Ranges) -> str:
    """An expression in which groups don't capture and every character stands in a class."""
    match node:
        case Chars(ranges):
            return _write_class(without(ranges, excluded))
        case Chain(items):
            return "".join(_write_item(item, excluded) for item in items)
        case Choice(items):
            return f"(?:{'|'.join(_write(item, excluded) for item in items)})"
        case Repeat(item, least, most):
            return _write_repeat(_write_item(item, excluded), least, most, is_class=isinstance(item, Chars))
    raise TypeError(node)  # rules have no names here


def _write_item(node: Node, excluded: Ranges) -> str:
    text = _write(node, excluded)
    return text if isinstance(node, Chars | Choice | Repeat) else f"(?:{text})"


def _write_repeat(item: str, least: int, most: int | None, *, is_class: bool) -> str:
    if not is_class or max(least, most or 0) <= _LARGE_COUNT:
        return f"(?:{item}{{{least},{'' if most is None else most}}})"
    more = "" if most == least else f"(?:{item}*)" if most is None else _up_to(item, most - least)
    return f"{_exactly(item, least)}{more}"


def _exactly(item: str, count: int) -> str:
    blocks, rest = divmod(count, _BLOCK)
    return f"(?:(?:{item}{{{_BLOCK}}}){{{blocks}}}){item}{{{rest}}}"


def _up_to(item: str, count: int) -> str:
    """Whole blocks and part of one more, or all blocks and part of the rest."""
    if count <= _LARGE_COUNT:
        return f"(?:{item}{{0,{count}}})"
    blocks, rest = divmod(count, _BLOCK)
    block = f"(?:{item}{{{_BLOCK}}})"
    return (
        f"(?:(?:{block}{{0,{blocks - 1}}}){item}{{0,{_BLOCK - 1}}}|(?:{block}{{{blocks}}}){item}{{0,{rest}}})"
    )


def _write_class(ranges: Ranges) -> str:
    """Characters of one length in UTF-8 in each class: of others together the library lets bytes pass that
    are no characters.
    """
    by_length = [
        [(max(low, first), min(high, last)) for low, high in ranges if low <= last and high >= first]
        for first, last in _LENGTHS
    ]
    classes = [f"[{''.join(map(_write_range, part))}]" for part in by_length if part]
    return classes[0] if len(classes) == 1 else f"(?:{'|'.join(classes)})"


def _write_range(pair: tuple[int, int]) -> str:
    low, high = map(_write_character, pair)
    return low if low == high else f"{low}-{high}"


def _write_character(code: int) -> str:
    character = chr(code)
    return (
        character
        if character.isascii() and character.isalnum()
        else f"\\u{{{code:x}}}"
        if code > 0xFFFF
        else f"\\u{code:04x}"
    )
