"""Whether an expression can be followed cheaply: the engine works out the next tokens of all its readings at
every step.

An expression of a few characters, such as `(.{0,50}){10}`, may have so many readings that a step takes
minutes, in which no other request of the engine goes on. What makes them many is a *loose end*: a repetition
after which the same character may be one more of it or the beginning of what follows. The bounds are from
measurements with xgrammar 0.2.8 and the model's vocabulary.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from phiserve.constraints.syntax import (
    Chain,
    Chars,
    Choice,
    Name,
    Node,
    Ranges,
    Repeat,
    UnsupportedExpression,
    joined,
    overlap,
)

MAX_LOOSE_ENDS = 8
"""Of a whole expression."""

MAX_LOOSENESS = 500
"""The counts of all loose ends, and of what repeats them, multiplied."""

NESTED = "repeats a repetition that can follow itself, as in (a+)+: nothing tells where one ends and the next begins"
EMPTY = "repeats what may be empty, as in (a*)*"
LOOSE = "has too many repetitions that can go on with what follows them, as in a*a*a*"


def check_ambiguity(rules: Mapping[str, Node]) -> None:
    """Raises UnsupportedExpression, naming the rule, for a grammar that cannot be followed cheaply.

    A rule stands before those that it names, where the rules don't go in circles. A regular expression is one
    nameless rule.
    """
    judge = _Judge(rules)
    ends, looseness = 0, 1
    for name, node in rules.items():
        for fault, times in judge.loose_ends(name, node):
            ends, looseness = ends + 1, looseness * times
            if fault or ends > MAX_LOOSE_ENDS or looseness > MAX_LOOSENESS:
                raise UnsupportedExpression(f"{fault or LOOSE}{f' (rule {name})' if name else ''}")


@dataclass(frozen=True, slots=True)
class _Context:
    """What may follow a place: `after` it, or `again` because something around it repeats; and the counts
    that repeat it.
    """

    after: Ranges = ()
    again: Ranges = ()
    times: int = 1

    def joined(self, other: "_Context") -> "_Context":
        return _Context(
            joined(self.after, other.after), joined(self.again, other.again), max(self.times, other.times)
        )

    def before(self, first: Ranges, *, skipped: bool, circle: bool) -> "_Context":
        """The context of what stands before an item that begins with `first` and may perhaps be skipped."""
        after, again = (self.after, self.again) if skipped else ((), ())
        return _Context(
            after if circle else joined(after, first), joined(again, first) if circle else again, self.times
        )

    def inside(self, first: Ranges, most: int | None) -> "_Context":
        """The context of an item that begins with `first` and is repeated up to `most` times."""
        if most == 1:
            return self
        return _Context(
            self.after, joined(self.again, first), min(self.times * (most or 1), MAX_LOOSENESS + 1)
        )


class _Judge:
    """Rules, and what is found out about them: which may be empty, what they begin with, where they stand."""

    def __init__(self, rules: Mapping[str, Node]) -> None:
        self.rules = rules
        self.nullable: set[str] = set()
        self.first: dict[str, Ranges] = dict.fromkeys(rules, ())
        self.contexts = dict.fromkeys(rules, _Context())
        self._find_beginnings()
        self.left_circles = _circles(
            {name: frozenset(self._at_edge(node, 1)) for name, node in rules.items()}
        )
        self.right_circles = _circles(
            {name: frozenset(self._at_edge(node, -1)) for name, node in rules.items()}
        )
        self._find_contexts()

    def loose_ends(self, name: str, node: Node) -> Iterator[tuple[str, int]]:
        """Those of a rule: what is wrong with each by itself, if anything, and how often it is repeated."""
        return self._walk(name, node, self.contexts[name])

    def _find_beginnings(self) -> None:
        """Until nothing changes; the last rules, which name no others, first."""
        changed = True
        while changed:
            changed = False
            for name, node in reversed(list(self.rules.items())):
                nullable, first = self._may_be_empty(node), self._first(node)
                changed |= first != self.first[name] or nullable != (name in self.nullable)
                self.first[name] = first
                self.nullable.update([name] * nullable)

    def _find_contexts(self) -> None:
        """Until nothing changes; walking a rule notes the contexts of those it names."""
        before: dict[str, _Context] = {}
        while before != self.contexts:
            before = dict(self.contexts)
            for name, node in self.rules.items():
                for _ in self._walk(name, node, self.contexts[name]):
                    pass

    def _walk(self, rule: str, node: Node, context: _Context) -> Iterator[tuple[str, int]]:
        """The loose ends of a node of a rule, last ones first."""
        match node:
            case Name(name):
                self._note(rule, name, context)
                if name in self.left_circles[rule] and overlap(self.first[name], context.again):
                    yield NESTED, 1
            case Choice(items):
                for item in items:
                    yield from self._walk(rule, item, context)
            case Chain(items):
                for item in reversed(items):
                    yield from self._walk(rule, item, context)
                    circle = isinstance(item, Name) and item.name in self.right_circles[rule]
                    context = context.before(
                        self._first(item), skipped=self._may_be_empty(item), circle=circle
                    )
            case Repeat(item, least, most):
                first = self._first(item)
                if most != 1 and self._may_be_empty(item):
                    yield EMPTY, 1
                elif least != most and overlap(first, context.again):
                    yield NESTED, 1
                elif least != most and overlap(first, context.after):
                    yield "", context.times * (most or max(least, 1))
                yield from self._walk(rule, item, context.inside(first, most))

    def _note(self, rule: str, name: str, context: _Context) -> None:
        """A rule that begins with itself repeats: what follows it there follows again and again."""
        if name in self.left_circles[rule]:
            context = _Context((), joined(context.after, context.again), context.times)
        self.contexts[name] = self.contexts[name].joined(context)

    def _at_edge(self, node: Node, direction: int) -> Iterator[str]:
        """Rules that a node may begin with (`direction` 1) or end with (-1)."""
        match node:
            case Name(name):
                yield name
            case Choice(items):
                for item in items:
                    yield from self._at_edge(item, direction)
            case Chain(items):
                for item in items[::direction]:
                    yield from self._at_edge(item, direction)
                    if not self._may_be_empty(item):
                        break
            case Repeat(item, _, _):
                yield from self._at_edge(item, direction)

    def _may_be_empty(self, node: Node) -> bool:
        match node:
            case Chars():
                return False
            case Name(name):
                return name in self.nullable
            case Choice(items):
                return any(map(self._may_be_empty, items))
            case Chain(items):
                return all(map(self._may_be_empty, items))
            case Repeat(item, least, _):
                return least == 0 or self._may_be_empty(item)

    def _first(self, node: Node) -> Ranges:
        """Characters that a node may begin with."""
        match node:
            case Chars(ranges):
                return ranges
            case Name(name):
                return self.first[name]
            case Choice(items):
                return joined(*map(self._first, items))
            case Chain(items):
                needed = next(
                    (index for index, item in enumerate(items) if not self._may_be_empty(item)), len(items)
                )
                return joined(*map(self._first, items[: needed + 1]))
            case Repeat(item, _, most):
                return () if most == 0 else self._first(item)


def names(node: Node) -> Iterator[str]:
    """The rules that a node names."""
    match node:
        case Name(name):
            yield name
        case Choice(items) | Chain(items):
            for item in items:
                yield from names(item)
        case Repeat(item, _, _):
            yield from names(item)


def _circles(named: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """For each rule, those that it leads to and that lead to it."""
    reached = {name: _reached(name, named) for name in named}
    return {name: frozenset(other for other in reached[name] if name in reached[other]) for name in named}


def _reached(start: str, named: Mapping[str, frozenset[str]]) -> frozenset[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = named[waiting.pop()] - reached
        reached |= new
        waiting += new
    return frozenset(reached)
