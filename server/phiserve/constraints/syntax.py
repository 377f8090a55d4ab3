"""What regular expressions and grammars come down to: characters, sequences, choices, repetitions and names
of rules.

Knows nothing of how either is written; see `constraints.regex` and `constraints.gbnf`.
`constraints.ambiguity` judges them.
"""

from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]
"""Code points, as inclusive ranges in order that neither touch nor overlap."""

LAST = 0x10FFFF
_SURROGATES = (0xD800, 0xDFFF)


class UnsupportedExpression(Exception):
    """Why an expression is refused, as the second half of a sentence."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Chain:
    """Items one after the other; none of them is the empty text."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """An item `least` to `most` times; without end where `most` is None."""

    item: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Name:
    """A rule by its name."""

    name: str


Node = Chars | Chain | Choice | Repeat | Name


def joined(*sets: Ranges) -> Ranges:
    """The union of sets of characters."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def others(ranges: Ranges) -> Ranges:
    """All characters that are not in the set. Halves of surrogate pairs are no characters."""
    result, start = [], 0
    for low, high in joined(ranges, (_SURROGATES,)):
        if start < low:
            result.append((start, low - 1))
        start = high + 1
    return (*result, (start, LAST)) if start <= LAST else tuple(result)


def without(ranges: Ranges, excluded: Ranges) -> Ranges:
    """A set less another."""
    return others(joined(others(ranges), excluded))


def overlap(some: Ranges, more: Ranges) -> bool:
    """Whether two sets share a character."""
    return any(low <= top and bottom <= high for low, high in some for bottom, top in more)
