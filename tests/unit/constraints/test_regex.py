"""Regular expressions are read by JavaScript's rules, and what is beyond them is refused by name."""

import pytest

from phiserve.constraints.regex import parse_regex
from phiserve.constraints.syntax import Chain, Chars, Repeat, UnsupportedExpression

A = Chars(((0x61, 0x61),))


def test_structure() -> None:
    """Anchors at the ends say nothing new; lazy is greedy."""
    assert parse_regex("^a$") == A
    assert parse_regex("a{2,3}?a*") == Chain((Repeat(A, 2, 3), Repeat(A, 0, None)))
    assert parse_regex("(?:a)(?<name>a)") == Chain((A, A))
    assert parse_regex(r"[\x61\u0061\u{61}a]") == A


@pytest.mark.parametrize(
    ("regex", "said"),
    [
        *[
            ("a^b", "anchor"),
            ("a$b", "anchor"),
            ("(^a)", "anchor"),
            (r"\ba", "word boundary"),
            (r"\pL", "property class"),
        ],
        *[
            (r"(a)\1", "back-reference"),
            ("(?=a)", "look-ahead"),
            ("(?<!a)", "look-behind"),
            ("(?i)a", "not supported"),
        ],
        *[
            ("[", "not closed"),
            ("(a", "not closed"),
            ("a)", "too many"),
            ("*", "repeats nothing"),
            ("a**", "repeats a repetition"),
        ],
        *[
            ("a{,3}", "no count"),
            ("a{3,2}", "more than its most"),
            ("a{1,100000}", "more than 1024"),
            ("a{" + "9" * 99, "no count"),
        ],
        *[
            ("[z-a]", "out of order"),
            (r"[^\s\S]", "holds none"),
            ("[]", "holds none"),
            (r"\ud800", "no character"),
        ],
        *[
            (r"\x4", "no character"),
            (r"\u{110000}", "no character"),
            ("\\", "at its end"),
            (r"\q", "escape"),
            ("(" * 60, "nested"),
        ],
    ],
)
def test_what_is_refused(regex: str, said: str) -> None:
    """And why."""
    with pytest.raises(UnsupportedExpression, match=said):
        parse_regex(regex)
