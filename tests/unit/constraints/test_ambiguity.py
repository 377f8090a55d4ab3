"""Expressions that the engine could not follow in time are told from those that it can."""

import pytest

from phiserve.constraints.ambiguity import EMPTY, LOOSE, NESTED, check_ambiguity
from phiserve.constraints.regex import parse_regex
from phiserve.constraints.syntax import UnsupportedExpression


@pytest.mark.parametrize(
    "regex",
    [
        *[
            r"[\w.+-]+@[\w-]+\.[\w.]+",
            r"\d{3}-\d{4}",
            r"(\w+\s)+",
            ".*a.*b.*",
            ".{0,100}b",
            "(a|b)*a(a|b){12}",
            "(a?b)*",
        ],
        *[r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", "(ab?c)*", "(a*)?"],
    ],
)
def test_what_can_be_followed(regex: str) -> None:
    """Everyday expressions."""
    check_ambiguity({"": parse_regex(regex)})


@pytest.mark.parametrize(
    ("regex", "fault"),
    [
        *[
            ("(a+)+b", NESTED),
            (r"(\w+\s?)+b", NESTED),
            ("([a-z]{1,50}){10}", NESTED),
            ("(xa*|y)*(a|b+)*", NESTED),
        ],
        *[
            ("(a*)*", EMPTY),
            ("(.{0,50}){10}", EMPTY),
            ("(a?){50}a{50}", EMPTY),
            ("(((.?){10}.?){10}.?){10}a", EMPTY),
        ],
        *[
            (".*" * 9 + "a", LOOSE),
            (".?" * 9 + "a", LOOSE),
            (".{0,50}.{0,50}x", LOOSE),
            ("a{0,9}" * 5, LOOSE),
        ],
    ],
)
def test_what_cannot(regex: str, fault: str) -> None:
    """Each of these takes the grammar library from milliseconds to minutes a token."""
    with pytest.raises(UnsupportedExpression) as caught:
        check_ambiguity({"": parse_regex(regex)})
    assert str(caught.value) == fault
