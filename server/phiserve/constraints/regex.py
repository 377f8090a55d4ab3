r"""Regular expressions: read into `constraints.syntax`, and written in the one way that the grammar library
takes exactly.

The library matches whole texts, ignores or misreads part of the syntax (anchors inside, look-ahead, unknown
escapes) and lets `.` be any character. So the syntax is read here, by JavaScript's rules, which are JSON
Schema's; anything else is refused by name.
"""

from string import hexdigits

from phiserve.constraints.syntax import (
    LAST,
    Chain,
    Chars,
    Choice,
    Node,
    Ranges,
    Repeat,
    UnsupportedExpression,
    joined,
    others,
    overlap,
)

MAX_COUNT = 1024
"""Most repetitions that `{m,n}` may ask for."""

MAX_GROUPS = 50
"""Groups within groups."""

_DIGITS: Ranges = ((0x30, 0x39),)
_WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_SPACES = joined(
    _LINE_ENDS,
    ((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    ((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_SETS = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACES,
    "D": others(_DIGITS),
    "W": others(_WORD),
    "S": others(_SPACES),
}
_CONTROLS = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B, "0": 0x00}
_HEX_DIGITS = {"x": 2, "u": 4}
_UNSUPPORTED = {
    "b": "the word boundary",
    "B": "the word boundary",
    "p": "the property class",
    "P": "the property class",
}
_GROUPS = {"=": "look-ahead", "!": "look-ahead", "<=": "look-behind", "<!": "look-behind"}


def parse_regex(text: str) -> Node:
    """Read an expression that whole texts are to match. Raises UnsupportedExpression."""
    reader = _Reader(text)
    node = reader.choice(depth=0)
    if reader.rest:
        raise UnsupportedExpression(f"has a {reader.rest[0]!r} too many (character {reader.at + 1})")
    return node


class _Reader:
    """Recursive descent over the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def rest(self) -> str:
        return self.text[self.at : self.at + 3]

    def choice(self, depth: int) -> Node:
        """Alternatives between bars; `depth` counts the groups around them."""
        if depth > MAX_GROUPS:
            raise UnsupportedExpression(f"has groups nested more than {MAX_GROUPS} deep")
        options = [self.chain(depth)]
        while self.take("|"):
            options.append(self.chain(depth))
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def chain(self, depth: int) -> Node:
        """One alternative. Anchors are read where they say what holds anyway: at the ends of the whole."""
        if depth == 0:
            self.take("^")
        items: list[Node] = []
        while self.rest and self.rest[0] not in "|)":
            if depth == 0 and self.rest[0] == "$" and self.rest[1:2] in ("", "|"):
                self.take("$")
            else:
                items.append(self.repeated(self.atom(depth)))
        return items[0] if len(items) == 1 else Chain(tuple(items))

    def atom(self, depth: int) -> Node:
        """What a quantifier may follow: a character, a class or a group."""
        if self.take("("):
            return self.group(depth)
        if self.take("["):
            return self.character_class()
        if self.take("\\"):
            return Chars(self.escape())
        character = self.next()
        if character == ".":
            return Chars(others(_LINE_ENDS))
        if character in "^$":
            raise UnsupportedExpression(
                f"has the anchor {character!r} elsewhere than at its ends (character {self.at})"
            )
        if character in "*+?{":
            raise UnsupportedExpression(f"has a {character!r} that repeats nothing (character {self.at})")
        return Chars(_single(character))

    def group(self, depth: int) -> Node:
        """A group behind its opening bracket."""
        if self.take("?"):
            for mark, name in _GROUPS.items():
                if self.text.startswith(mark, self.at):
                    raise UnsupportedExpression(f"uses {name}, (?{mark}…), which is not supported")
            if not self.take(":"):
                self.group_name()
        node = self.choice(depth + 1)
        if not self.take(")"):
            raise UnsupportedExpression("has a '(' that is not closed")
        return node

    def group_name(self) -> None:
        """`<name>`, which is of no consequence here."""
        end = self.text.find(">", self.at)
        if not self.take("<") or not self.text[self.at : end].isidentifier():
            raise UnsupportedExpression(f"has a group, (?{self.rest}…, that is not supported")
        self.at = end + 1

    def repeated(self, item: Node) -> Node:
        """The item with its quantifier, if it has one; a lazy one means the same here."""
        counts = self.quantifier()
        if counts is None:
            return item
        self.take("?")
        if self.rest[:1] and self.rest[0] in "*+?{":
            raise UnsupportedExpression(f"repeats a repetition (character {self.at + 1})")
        return Repeat(item, *counts)

    def quantifier(self) -> tuple[int, int | None] | None:
        """Least and most repetitions (None: any number), or None where nothing is repeated."""
        for mark, counts in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self.take(mark):
                return counts
        if not self.take("{"):
            return None
        body, closed, _ = self.text[self.at :].partition("}")
        low, comma, high = body.partition(",")
        if not closed or not is_count(low) or (high and not is_count(high)):
            raise UnsupportedExpression(f"has a '{{' that begins no count (character {self.at})")
        self.at += len(body) + 1
        least, most = int(low), int(high) if high else None if comma else int(low)
        if max(least, most or 0) > MAX_COUNT:
            raise UnsupportedExpression(f"repeats more than {MAX_COUNT} times: {{{body}}}")
        if most is not None and least > most:
            raise UnsupportedExpression(f"has a count whose least is more than its most: {{{body}}}")
        return least, most

    def character_class(self) -> Node:
        """A class behind its opening bracket."""
        negated, ranges = self.take("^"), list[tuple[int, int]]()
        while not self.take("]"):
            low = self.class_member()
            if self.rest[:1] == "-" and self.rest[1:2] not in ("", "]") and _is_single(low):
                self.take("-")
                high = self.class_member()
                if not _is_single(high) or high[0][0] < low[0][0]:
                    raise UnsupportedExpression(
                        f"has a range of characters out of order (character {self.at})"
                    )
                low = ((low[0][0], high[0][0]),)
            ranges += low
        found = joined(tuple(ranges))
        found = others(found) if negated else found
        if not found:
            raise UnsupportedExpression("has a class of characters that holds none")
        return Chars(found)

    def class_member(self) -> Ranges:
        """One member of a class, or one end of a range."""
        return self.escape() if self.take("\\") else _single(self.next("a '[' that is not closed"))

    def escape(self) -> Ranges:
        """What an escape stands for, behind its backslash."""
        letter = self.next("a '\\' at its end")
        if letter in _SETS:
            return _SETS[letter]
        if letter in _CONTROLS and not (letter == "0" and self.rest[:1].isdigit()):
            return _single(chr(_CONTROLS[letter]))
        if letter in _HEX_DIGITS:
            return _single(self.hexadecimal(letter))
        if letter in _UNSUPPORTED:
            raise UnsupportedExpression(f"uses {_UNSUPPORTED[letter]} \\{letter}, which is not supported")
        if letter.isdigit() or letter == "k":
            raise UnsupportedExpression(f"uses the back-reference \\{letter}, which is not supported")
        if letter.isalpha():
            raise UnsupportedExpression(f"uses the escape \\{letter}, which is not supported")
        return _single(letter)

    def hexadecimal(self, letter: str) -> str:
        r"""The character of `\xHH`, `\uHHHH` or `\u{H…}`."""
        if letter == "u" and self.take("{"):
            digits, closed, _ = self.text[self.at :].partition("}")
            proper = bool(closed) and 0 < len(digits) <= 6
            self.at += len(digits) + 1
        else:
            digits = self.text[self.at : self.at + _HEX_DIGITS[letter]]
            proper = len(digits) == _HEX_DIGITS[letter]
            self.at += len(digits)
        code = int(digits, 16) if proper and set(digits) <= set(hexdigits) else LAST + 1
        if not overlap(others(()), ((code, code),)):
            raise UnsupportedExpression(
                f"has an escape \\{letter} that is no character (character {self.at})"
            )
        return chr(code)

    def take(self, mark: str) -> bool:
        """Whether the mark comes next; goes past it."""
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) * found
        return found

    def next(self, fault: str = "an end where more must follow") -> str:
        """The next character; `fault` says what is wrong where there is none."""
        if self.at >= len(self.text):
            raise UnsupportedExpression(f"has {fault}")
        self.at += 1
        return self.text[self.at - 1]


def is_count(text: str) -> bool:
    """Whether a text is a count of at most nine digits."""
    return text.isascii() and text.isdigit() and len(text) < 10


def _single(character: str) -> Ranges:
    return ((ord(character), ord(character)),)


def _is_single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]
