"""Grammars in GBNF, llama.cpp's form of EBNF, read into `constraints.syntax` and judged.

Read are rules (`name ::= …`), texts, classes of characters, groups, choices, repetitions and comments. What
the grammar library knows beyond that (tokens by id, tag dispatch, look-ahead, Lark) is refused. A rule goes
on over lines until the next rule begins.
"""

import re
from collections.abc import Iterator, Mapping

from phiserve.constraints.ambiguity import check_ambiguity, names
from phiserve.constraints.regex import is_count
from phiserve.constraints.syntax import (
    Chain,
    Chars,
    Choice,
    Name,
    Node,
    Repeat,
    UnsupportedExpression,
    joined,
    others,
)

ROOT = "root"
MAX_RULES = 200
MAX_GRAMMAR_COUNT = 128
"""Most repetitions that `{m,n}` may ask for; from there on each token costs milliseconds."""

MAX_RANGES = 1000
"""Ranges of characters in all classes of a grammar."""

MAX_DEPTH = 50
"""Groups within groups."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<rule>[A-Za-z_][\w.-]*(?=\s*::=))
      | (?P<name>[A-Za-z_][\w.-]*(?!\())
      | (?P<text>"(?:[^"\\\n\r]|\\.)*")
      | (?P<class>\[(?:[^\]\\\n\r]|\\.)*\])
      | (?P<count>\{[^}\n]*\})
      | (?P<mark>::=|[()|*+?])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([^xuU]))|([^\\])", re.DOTALL
)
_CONTROLS = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "f": "\f",
    "v": "\v",
    "b": "\b",
    "a": "\a",
    "0": "\0",
    "e": "\x1b",
}

_Token = tuple[str, str]


def check_grammar(text: str) -> None:
    """Raises UnsupportedExpression for a grammar that is malformed, has no end or cannot be followed
    cheaply.
    """
    rules = _in_order(_parse(text))
    endless = rules.keys() - _rules_with_an_end(rules)
    if endless:
        raise UnsupportedExpression(f"has a rule that never comes to an end: {min(endless)}")
    check_ambiguity(rules)


def _parse(text: str) -> dict[str, Node]:
    """All rules by name."""
    tokens = list(_tokens(text))
    rules: dict[str, Node] = {}
    while tokens:
        (kind, name), *tokens = tokens
        if kind != "rule":
            raise UnsupportedExpression(f"is not in GBNF, `{ROOT} ::= …`, near {name!r}")
        if name in rules:
            raise UnsupportedExpression(f"defines the rule {name} twice")
        end = next((index for index, token in enumerate(tokens) if token[0] == "rule"), len(tokens))
        body = _Body(tokens[1:end])
        rules[name] = body.whole()
        tokens = tokens[end:]
    if ROOT not in rules:
        raise UnsupportedExpression(f"has no rule {ROOT}")
    if len(rules) > MAX_RULES:
        raise UnsupportedExpression(f"has more than {MAX_RULES} rules")
    if sum(map(_count_ranges, rules.values())) > MAX_RANGES:
        raise UnsupportedExpression(f"has classes with more than {MAX_RANGES} ranges of characters")
    return rules


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise UnsupportedExpression(
                f"has something that is not GBNF, or not supported, at {text[at : at + 20]!r}"
            )
        at = found.end()
        if found.lastgroup != "space":
            yield found.lastgroup, found.group()


class _Body:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def whole(self) -> Node:
        """The rule's body, to its last token."""
        node = self.choice(0)
        if self.at < len(self.tokens):
            raise UnsupportedExpression(f"has a {self.tokens[self.at][1]!r} that fits nothing")
        return node

    def choice(self, depth: int) -> Node:
        """Alternatives between bars; `depth` counts the groups around them."""
        if depth > MAX_DEPTH:
            raise UnsupportedExpression(f"has groups nested more than {MAX_DEPTH} deep")
        options = [self.chain(depth)]
        while self.take("|"):
            options.append(self.chain(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def chain(self, depth: int) -> Node:
        """One alternative: items one after the other."""
        items: list[Node] = []
        while (kind := self.kind) in ("name", "text", "class") or self.here == "(":
            items.append(self.repeated(self.item(kind, depth)))
        if not items:
            raise UnsupportedExpression('has an empty alternative; the empty text is ""')
        return items[0] if len(items) == 1 else Chain(tuple(items))

    def item(self, kind: str, depth: int) -> Node:
        """A name, a text, a class of characters or a group."""
        token = self.here
        self.at += 1
        if kind == "name":
            return Name(token)
        if kind == "text":
            return Chain(
                tuple(Chars(((ord(character), ord(character)),)) for character, _ in _characters(token[1:-1]))
            )
        if kind == "class":
            return _class(token[1:-1])
        node = self.choice(depth + 1)
        if not self.take(")"):
            raise UnsupportedExpression("has a '(' that is not closed")
        return node

    def repeated(self, item: Node) -> Node:
        """The item with its repetition, if it has one."""
        for mark, (least, most) in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self.take(mark):
                return Repeat(item, least, most)
        if self.kind != "count":
            return item
        low, comma, high = (part.strip() for part in self.here[1:-1].partition(","))
        most = (
            int(high)
            if is_count(high)
            else None
            if comma and not high
            else int(low)
            if is_count(low) and not comma
            else -1
        )
        if (
            not is_count(low)
            or (most is not None and most < int(low))
            or max(int(low), most or 0) > MAX_GRAMMAR_COUNT
        ):
            raise UnsupportedExpression(
                f"has a count that is none, or more than {MAX_GRAMMAR_COUNT}: {self.here}"
            )
        self.at += 1
        return Repeat(item, int(low), most)

    def take(self, mark: str) -> bool:
        """Whether the mark comes next; goes past it."""
        found = self.here == mark and self.kind == "mark"
        self.at += found
        return found

    @property
    def here(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""


def _characters(text: str) -> Iterator[tuple[str, bool]]:
    """Characters of a text or class, and whether each was escaped."""
    at = 0
    while at < len(text):
        found = _ESCAPE.match(text, at)
        if found is None or (
            (code := next(filter(None, found.group(1, 2, 3)), None)) and not _is_character(int(code, 16))
        ):
            raise UnsupportedExpression(f"has an escape that is no character: {text[at : at + 10]!r}")
        at = found.end()
        plain = found[4] or found[5]
        yield (
            (chr(int(code, 16)) if code else _CONTROLS.get(plain, plain) if found[4] else plain),
            found[5] is None,
        )


def _count_ranges(node: Node) -> int:
    """Ranges of characters; a single one by itself is not counted."""
    match node:
        case Chars(ranges):
            return len(ranges) if len(ranges) > 1 else 0
        case Chain(items) | Choice(items):
            return sum(map(_count_ranges, items))
        case Repeat(item, _, _):
            return _count_ranges(item)
        case Name():
            return 0


def _is_character(code: int) -> bool:
    return code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF


def _class(text: str) -> Node:
    negated = text.startswith("^")
    members = list(_characters(text[negated:]))
    ranges: list[tuple[int, int]] = []
    while members:
        low = high = ord(members.pop(0)[0])
        if len(members) > 1 and members[0] == ("-", False):
            high = ord(members[1][0])
            del members[:2]
        if low > high:
            raise UnsupportedExpression(f"has a range of characters out of order: [{text}]")
        ranges.append((low, high))
    found = others(joined(tuple(ranges))) if negated else joined(tuple(ranges))
    if not found:
        raise UnsupportedExpression(f"has a class of characters that holds none: [{text}]")
    return Chars(found)


def _in_order(rules: Mapping[str, Node]) -> dict[str, Node]:
    """Rules that the root is built from, each before those it names, where they don't go in circles.

    Raises UnsupportedExpression.
    """
    finished: dict[str, Node] = {}
    entered: set[str] = set()
    waiting: list[tuple[str, bool]] = [(ROOT, False)]
    while waiting:
        name, is_done = waiting.pop()
        if is_done:
            finished[name] = rules[name]
        elif name not in entered:
            if name not in rules:
                raise UnsupportedExpression(f"names a rule that it does not define: {name}")
            entered.add(name)
            waiting.append((name, True))
            waiting += [(other, False) for other in names(rules[name])]
    return dict(reversed(finished.items()))


def _rules_with_an_end(rules: Mapping[str, Node]) -> set[str]:
    """Rules that some text of finite length follows."""
    ending: set[str] = set()
    size = -1
    while size < len(ending):
        size = len(ending)
        ending.update(
            name
            for name, node in reversed(list(rules.items()))
            if name not in ending and _has_end(node, ending)
        )
    return ending


def _has_end(node: Node, ending: set[str]) -> bool:
    match node:
        case Chars():
            return True
        case Name(name):
            return name in ending
        case Choice(items):
            return any(_has_end(item, ending) for item in items)
        case Chain(items):
            return all(_has_end(item, ending) for item in items)
        case Repeat(item, least, _):
            return least == 0 or _has_end(item, ending)
