r"""Regular expressions: read by JavaScript's rules, and written by those of Rust's `regex`.

JSON Schema means the former, the grammar library the latter. The two agree but for what is read here: which
characters `.`, `\d`, `\w` and `\s` are, escapes, and what only Rust knows (`[[:alpha:]]`, `&&` in a class,
`(?i)`, `\A`). Every character is written as itself or as its code, so that it can mean nothing else; the
library checks the rest.
"""

from string import hexdigits

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.lark import Range, rules_grammar, write_character, write_class

MAX_COUNT = 10_000
"""Most repetitions that `{m,n}` may ask for."""

MAX_GROUPS = 50
"""Groups within groups."""

_SPACES = (
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_SETS: dict[str, tuple[Range, ...]] = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": _SPACES,
}
_ANY = write_class(((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)), negated=True)
"""JavaScript's `.`."""

_CONTROLS = {"n": 0x0A, "r": 0x0D, "t": 0x09, "f": 0x0C, "v": 0x0B, "0": 0x00}
_HEX_DIGITS = {"x": 2, "u": 4}
_UNSUPPORTED = {
    **dict.fromkeys("bB", "the word boundary"),
    **dict.fromkeys("pP", "the property class"),
    **dict.fromkeys("123456789k", "the back-reference"),
}
_GROUPS = {"=": "look-ahead", "!": "look-ahead", "<=": "look-behind", "<!": "look-behind"}


def regex_grammar(text: str) -> str:
    """A grammar of what an expression matches as a whole. Raises UnsupportedConstraint."""
    return rules_grammar([f"start: /{translate(text, whole=True)}/"])


def translate(text: str, *, whole: bool = False) -> str:
    """Write an expression as the library reads it.

    `whole`: it is to match all of a text, so that anchors at its ends say nothing new and are left out.
    Raises UnsupportedConstraint.
    """
    return _Translator(text, whole).translated()


class _Translator:
    """Goes over the text, token by token."""

    def __init__(self, text: str, whole: bool) -> None:
        self.text = text
        self.whole = whole
        self.at = 0
        self.depth = 0
        self.repeatable = False
        """Whether a quantifier may follow."""

    def translated(self) -> str:
        """The whole expression."""
        written = "".join(iter(self.token, ""))
        if self.depth:
            raise UnsupportedConstraint("has a '(' that is not closed")
        return f"(?:{written})" if self.whole else written

    def token(self) -> str:
        """The next token; "" at the end. One that says nothing is an empty group."""
        if self.at == len(self.text):
            return ""
        character = self.next()
        if character in "^$":
            return self.anchor(character)
        if character in "*+?{":
            return self.quantifier(character)
        self.repeatable = character not in "(|"
        if character == "(":
            return self.group()
        if character == ")":
            self.depth -= 1
            if self.depth < 0:
                raise UnsupportedConstraint(f"has a ')' too many (character {self.at})")
            return ")"
        if character == "[":
            return self.character_class()
        if character == "\\":
            return self.escape()[0]
        return {"|": "|", ".": _ANY}.get(character) or write_character(ord(character))

    def anchor(self, mark: str) -> str:
        """`^` or `$`. Inside of an expression the library refuses them where they are to stay."""
        self.repeatable = False
        if not self.whole:
            return mark
        before, after = self.text[self.at - 2 : self.at - 1], self.text[self.at : self.at + 1]
        if self.depth or (before if mark == "^" else after) not in ("", "|"):
            raise UnsupportedConstraint(
                f"has the anchor {mark!r} elsewhere than at its ends (character {self.at})"
            )
        return "(?:)"

    def group(self) -> str:
        """The beginning of a group; what it captures is of no consequence."""
        self.depth += 1
        if self.depth > MAX_GROUPS:
            raise UnsupportedConstraint(f"has groups nested more than {MAX_GROUPS} deep")
        if self.take("?"):
            for mark, name in _GROUPS.items():
                if self.text.startswith(mark, self.at):
                    raise UnsupportedConstraint(f"uses {name}, (?{mark}…), which is not supported")
            if not self.take(":"):
                end = self.text.find(">", self.at)
                if not self.take("<") or not self.text[self.at : end].isidentifier():
                    rest = self.text[self.at : self.at + 3]
                    raise UnsupportedConstraint(f"has a group, (?{rest}…, that is not supported")
                self.at = end + 1
        return "(?:"

    def quantifier(self, mark: str) -> str:
        """`*`, `+`, `?` or counts; a lazy one means the same here."""
        if not self.repeatable:
            raise UnsupportedConstraint(
                f"has a {mark!r} that repeats nothing, or a repetition (character {self.at})"
            )
        self.repeatable = False
        counts = mark if mark != "{" else self.counts()
        self.take("?")
        return counts

    def counts(self) -> str:
        """`{m}`, `{m,}` or `{m,n}`."""
        body, closed, _ = self.text[self.at :].partition("}")
        low, comma, high = body.partition(",")
        if not closed or not is_count(low) or (high and not is_count(high)):
            raise UnsupportedConstraint(f"has a '{{' that begins no count (character {self.at})")
        self.at += len(body) + 1
        if max(int(low), int(high or 0)) > MAX_COUNT:
            raise UnsupportedConstraint(f"repeats more than {MAX_COUNT} times: {{{body}}}")
        if high and int(low) > int(high):
            raise UnsupportedConstraint(f"has a count whose least is more than its most: {{{body}}}")
        return f"{{{low}{comma}{high}}}"

    def character_class(self) -> str:
        """A class behind its opening bracket."""
        negated, members = self.take("^"), ""
        while not self.take("]"):
            written, low = self.member()
            if self.text[self.at : self.at + 1] == "-" and self.text[self.at + 1 : self.at + 2] not in (
                "",
                "]",
            ):
                self.take("-")
                end, high = self.member()
                if low is None or high is None or high < low:
                    raise UnsupportedConstraint(
                        f"has a range of characters out of order (character {self.at})"
                    )
                written = f"{written}-{end}"
            members += written
        if not members:
            raise UnsupportedConstraint(
                f"has a class of characters that holds none or all (character {self.at})"
            )
        return f"[{'^' * negated}{members}]"

    def member(self) -> tuple[str, int | None]:
        """One member of a class, or one end of a range, and its code where it is a single character."""
        character = self.next("a '[' that is not closed")
        if character == "\\":
            return self.escape()
        return write_character(ord(character)), ord(character)

    def escape(self) -> tuple[str, int | None]:
        """What an escape stands for, behind its backslash, and its code where that is a single character."""
        letter = self.next("a '\\' at its end")
        if letter.lower() in _SETS:
            return write_class(_SETS[letter.lower()], negated=letter.isupper()), None
        if letter in _HEX_DIGITS:
            code = self.hexadecimal(letter)
        elif letter in _CONTROLS and not (letter == "0" and self.text[self.at : self.at + 1].isdigit()):
            code = _CONTROLS[letter]
        elif letter.isalnum():
            what = _UNSUPPORTED.get(letter, "the escape")
            raise UnsupportedConstraint(f"uses {what} \\{letter}, which is not supported")
        else:
            code = ord(letter)
        return write_character(code), code

    def hexadecimal(self, letter: str) -> int:
        r"""The character of `\xHH`, `\uHHHH` or `\u{H…}`."""
        if letter == "u" and self.take("{"):
            digits, closed, _ = self.text[self.at :].partition("}")
            proper = bool(closed) and 0 < len(digits) <= 6
            self.at += len(digits) + 1
        else:
            digits = self.text[self.at : self.at + _HEX_DIGITS[letter]]
            proper = len(digits) == _HEX_DIGITS[letter]
            self.at += len(digits)
        if not proper or not set(digits) <= set(hexdigits) or not is_character(int(digits, 16)):
            raise UnsupportedConstraint(
                f"has an escape \\{letter} that is no character (character {self.at})"
            )
        return int(digits, 16)

    def take(self, mark: str) -> bool:
        """Whether the mark comes next; goes past it."""
        found = self.text.startswith(mark, self.at)
        self.at += len(mark) * found
        return found

    def next(self, fault: str = "an end where more must follow") -> str:
        """The next character; `fault` says what is wrong where there is none."""
        if self.at >= len(self.text):
            raise UnsupportedConstraint(f"has {fault}")
        self.at += 1
        return self.text[self.at - 1]


def all_but(texts: set[str]) -> str:
    """An expression for all of any text that is none of these."""
    ends = "|" if "" not in texts else ""
    heads: dict[str, set[str]] = {}
    for text in sorted(texts - {""}):
        heads.setdefault(text[0], set()).add(text[1:])
    first = write_class([(ord(head), ord(head)) for head in heads], negated=True) if heads else "(?s:.)"
    branches = [
        f"{first}(?s:.)*",
        *(f"{write_character(ord(head))}{all_but(rest)}" for head, rest in heads.items()),
    ]
    return f"(?:{ends}{'|'.join(branches)})"


def is_count(text: str) -> bool:
    """Whether a text is a count of at most nine digits."""
    return text.isascii() and text.isdigit() and len(text) < 10


def is_character(code: int) -> bool:
    """Whether a code is a character's: half of a surrogate pair is not."""
    return code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
