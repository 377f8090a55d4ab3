"""Grammars in GBNF, llama.cpp's form of EBNF, translated to Lark.

Read are rules (`name ::= …`), texts, classes of characters, groups, choices, repetitions and comments;
anything else is refused by its line and column. A rule goes on over lines until the next rule begins. No
character of a client's reaches Lark but in quotes or by its code, and rules have names of ours.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.lark import Range, quote, rules_grammar, write_class
from phiserve.constraints.recursion import in_circles
from phiserve.constraints.regex import is_character, is_count

ROOT = "root"
MAX_RULES = 200
MAX_RECURSIVE_MENTIONS = 100
"""How often rules that lie on circles may name each other.

llguidance compares each reading that it finds with the others at the same place, so that a step takes time
with the square of this number: 1000 alternatives `e e` of one rule e held the engine for 17 s. At the limit
the worst step that was found takes 0.3 s, after which that request fails.
"""

MAX_GRAMMAR_COUNT = 1000
"""Most repetitions that `{m,n}` may ask for."""

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
_CONTROLS = dict(zip("nrtfvba0e", map(ord, "\n\r\t\f\v\b\a\0\x1b"), strict=True))

_R = "\0"
"""Begins a rule's name until it is known which letter does; it is nowhere else in a grammar."""

_Ends = Callable[[Collection[str]], bool]
"""Whether some text of finite length follows, given the rules of which that is known."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    where: str
    """Line and column."""


_END = _Token("end", "", "at its end")


def gbnf_grammar(text: str) -> str:
    """A grammar of ours for one in GBNF. Raises UnsupportedConstraint."""
    tokens = list(_tokens(text))
    starts = [index for index, token in enumerate(tokens) if token.kind == "rule"]
    if not starts or starts[0] > 0:
        raise UnsupportedConstraint(f"is not in GBNF: it does not begin with a rule, `{ROOT} ::= …`")
    if len(starts) > MAX_RULES:
        raise UnsupportedConstraint(f"has more than {MAX_RULES} rules")
    names = [tokens[index].text for index in starts]
    for name in names:
        if names.count(name) > 1:
            raise UnsupportedConstraint(f"defines the rule {name} twice")
    if ROOT not in names:
        raise UnsupportedConstraint(f"has no rule {ROOT}")
    bodies = {
        tokens[start].text: _Body(tokens[start + 2 : end], names)
        for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True)
    }
    written = {name: body.whole() for name, body in bodies.items()}
    _check_ends({name: ends for name, (_, ends) in written.items()})
    mentions = {name: body.mentions for name, body in bodies.items()}
    recursive = in_circles(mentions)
    _check_recursion(mentions, recursive)
    # Without recursion all is one expression, which is followed faster: Lark tells by the case of names.
    letter = "r" if recursive else "R"
    rules = [f"{_R}{index}: {written[name][0]}" for index, name in enumerate(names)]
    return rules_grammar([f"start: {_R}{names.index(ROOT)}", *rules]).replace(_R, letter)


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise UnsupportedConstraint(
                f"has something that is not GBNF, or not supported, at line {line}, column {column}"
            )
        at = found.end()
        if found.lastgroup != "space":
            yield _Token(found.lastgroup, found.group(), f"at line {line}, column {column}")


class _Body:
    """Recursive descent over the tokens of one rule."""

    def __init__(self, tokens: list[_Token], names: list[str]) -> None:
        self.tokens = [*tokens, _END]
        self.names = names
        self.mentions: list[str] = []
        self.at = 0

    def whole(self) -> tuple[str, _Ends]:
        """The rule's body, to its last token."""
        written = self.choice(0)
        if self.here is not _END:
            raise UnsupportedConstraint(f"has a {self.here.text!r} that fits nothing {self.here.where}")
        return written

    def choice(self, depth: int) -> tuple[str, _Ends]:
        """Alternatives between bars; `depth` counts the groups around them."""
        if depth > MAX_DEPTH:
            raise UnsupportedConstraint(f"has groups nested more than {MAX_DEPTH} deep")
        options = [self.chain(depth)]
        while self.take("|"):
            options.append(self.chain(depth))
        return " | ".join(text for text, _ in options), lambda known: any(ends(known) for _, ends in options)

    def chain(self, depth: int) -> tuple[str, _Ends]:
        """One alternative: items one after the other."""
        items: list[tuple[str, _Ends]] = []
        while self.here.kind in ("name", "text", "class") or self.here.text == "(":
            items.append(self.repeated(*self.item(depth)))
        if not items:
            raise UnsupportedConstraint(f'has an empty alternative {self.here.where}; the empty text is ""')
        return " ".join(text for text, _ in items), lambda known: all(ends(known) for _, ends in items)

    def item(self, depth: int) -> tuple[str, _Ends]:
        """A name, a text, a class of characters or a group."""
        token = self.here
        self.at += 1
        if token.kind == "name":
            if token.text not in self.names:
                raise UnsupportedConstraint(f"names a rule that it does not define: {token.text}")
            self.mentions.append(token.text)
            return f"{_R}{self.names.index(token.text)}", lambda known: token.text in known
        if token.kind == "text":
            return quote("".join(chr(code) for code, _ in _characters(token))), lambda _: True
        if token.kind == "class":
            return _class(token), lambda _: True
        text, ends = self.choice(depth + 1)
        if not self.take(")"):
            raise UnsupportedConstraint(f"has a '(' that is not closed {token.where}")
        return f"({text})", ends

    def repeated(self, item: str, ends: _Ends) -> tuple[str, _Ends]:
        """The item with its repetition, if it has one."""
        token = self.here
        if token.text in ("*", "?"):
            self.at += 1
            return item + token.text, lambda _: True
        if self.take("+"):
            return f"{item}+", ends
        if token.kind != "count":
            return item, ends
        self.at += 1
        low, comma, high = (part.strip() for part in token.text[1:-1].partition(","))
        most = high or low
        if not (is_count(low) and is_count(most) and int(low) <= int(most) <= MAX_GRAMMAR_COUNT):
            raise UnsupportedConstraint(
                f"has a count that is none, or more than {MAX_GRAMMAR_COUNT}, {token.where}: {token.text}"
            )
        counted = f"{item}{{{low}{comma}{high}}}" if comma or int(low) else '""'
        return counted, ends if int(low) else lambda _: True

    def take(self, mark: str) -> bool:
        """Whether the mark comes next; goes past it."""
        found = self.here.kind == "mark" and self.here.text == mark
        self.at += found
        return found

    @property
    def here(self) -> _Token:
        """The next token."""
        return self.tokens[self.at]


def _characters(token: _Token) -> Iterator[tuple[int, bool]]:
    """Codes of a text's or class's characters, and whether each was escaped."""
    text, at = token.text[1:-1], 0
    while at < len(text):
        found = _ESCAPE.match(text, at)
        digits = found and next(filter(None, found.group(1, 2, 3)), None)
        if found is None or (digits and not is_character(int(digits, 16))):
            raise UnsupportedConstraint(
                f"has an escape that is no character, {text[at : at + 10]!r}, {token.where}"
            )
        at = found.end()
        if digits:
            yield int(digits, 16), True
        elif found[4]:
            yield _CONTROLS.get(found[4], ord(found[4])), True
        else:
            yield ord(found[5]), False


def _class(token: _Token) -> str:
    members = list(_characters(token))
    negated = bool(members) and members[0] == (ord("^"), False)
    members = members[negated:]
    ranges: list[Range] = []
    while members:
        low = high = members.pop(0)[0]
        if len(members) > 1 and members[0] == (ord("-"), False):
            high = members[1][0]
            del members[:2]
        if low > high:
            raise UnsupportedConstraint(f"has a range of characters out of order {token.where}")
        ranges.append((low, high))
    if not ranges:
        raise UnsupportedConstraint(f"has a class of characters that holds none or all {token.where}")
    return f"/{write_class(ranges, negated=negated)}/"


def _check_ends(rules: dict[str, _Ends]) -> None:
    """Refuse rules that no text of finite length follows."""
    ending: set[str] = set()
    size = -1
    while size < len(ending):
        size = len(ending)
        ending.update(name for name, ends in rules.items() if name not in ending and ends(ending))
    endless = sorted(rules.keys() - ending)
    if endless:
        raise UnsupportedConstraint(f"has a rule that never comes to an end: {endless[0]}")


def _check_recursion(mentions: dict[str, list[str]], recursive: set[str]) -> None:
    """Refuse rules that name each other so often that a step would take long."""
    count = sum(name in recursive for rule in recursive for name in mentions[rule])
    if count > MAX_RECURSIVE_MENTIONS:
        raise UnsupportedConstraint(
            f"has recursive rules that name each other {count} times; at most {MAX_RECURSIVE_MENTIONS} times "
            "are supported, or a step would cost too much"
        )
