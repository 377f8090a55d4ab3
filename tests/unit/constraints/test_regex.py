"""Regular expressions are read by JavaScript's rules, and what is beyond them is refused by name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.lark import check_compiles
from phiserve.constraints.regex import all_but, regex_grammar, translate
from unit.constraints.matching import passes


@pytest.mark.parametrize(
    ("regex", "good", "bad"),
    [
        ("a|b{2,3}", ["a", "bbb"], ["b"]),
        ("^(?:yes|no)?$", ["", "no"], ["maybe", "^yes$"]),
        ("^a|^b$", ["a", "b"], ["ab"]),
        ("[^a-z]+", ["Aé", "\n"], ["a"]),
        (r"\w+@\w+\.(?<end>com|org)", ["a@b.org"], ["a@b.net", "é@b.org"]),
        ("a{0,300}b", ["b"], ["a" * 301 + "b"]),
        ("[ab]{130,400}?", ["ab" * 200], ["a" * 129, "a" * 401]),
        (r"\u{1F600}\x41\u00e9\n\0", ["😀Aé\n\0"], ["A"]),
        ("(|a)b", ["b", "ab"], ["aab"]),
        (".", ["é", "x"], ["\n", "\r", "\u2028"]),
        (r"\d", ["1"], ["٣"]),
        (r"[\d\s-]", ["1", "-", "\u2003"], ["d"]),
        (r"\S", ["a"], ["\u2003", "\ufeff"]),
        (r"[^\W]", ["a"], ["é", "-"]),
        ("[[:alpha:]]", ["a]", ":]"], ["b"]),
        ("[a&&b]", ["&", "a"], ["&&"]),
        ("[+--]", ["-", ","], ["a"]),
        ("[/\"'#~]+", ["/\"'#~"], ["a"]),
        (r"\/\-\]", ["/-]"], ["\\/"]),
        (r"#/ %json <\|end\|>", ["#/ %json <|end|>"], [""]),
        ("(a*)*(x+x+)+y", ["xxy", "aaxxxy"], ["xy"]),
        ("é]", ["é]"], ["é"]),
        ("(a{100}){100}", ["a" * 10_000], ["a"]),
    ],
)
def test_whole_texts(regex: str, good: list[str], bad: list[str]) -> None:
    """Written in the library's way they mean what they meant; nothing is read as Rust's or Lark's."""
    grammar = regex_grammar(regex)
    check_compiles(grammar)
    assert [passes(grammar, text) for text in good + bad] == [True] * len(good) + [False] * len(bad)


def test_anchors_of_patterns_stay() -> None:
    """Only where an expression is for all of a text do they say nothing."""
    assert translate("^a$") == "^a$"
    assert translate("^a$", whole=True) == "(?:(?:)a(?:))"


@pytest.mark.parametrize(
    ("regex", "said"),
    [
        ("a^b", "anchor.*character 2"),
        ("a$b", "anchor"),
        ("(^a)", "anchor"),
        ("^*", "repeats nothing"),
        (r"\ba", "word boundary"),
        (r"\pL", "property class"),
        (r"(a)\1", "back-reference"),
        (r"\A", "escape"),
        (r"\cA", "escape"),
        (r"\q", "escape"),
        ("(?=a)", "look-ahead"),
        ("(?<!a)", "look-behind"),
        ("(?i)a", "not supported"),
        ("(?P<n>a)", "not supported"),
        ("[", "not closed"),
        ("(a", "not closed"),
        ("a)", "too many"),
        ("*", "repeats nothing"),
        ("a**", "or a repetition"),
        ("a++", "or a repetition"),
        ("(*)", "repeats nothing"),
        ("a{,3}", "no count"),
        ("a{3,2}", "more than its most"),
        ("a{1,100000}", "more than 10000"),
        ("a{" + "9" * 99, "no count"),
        ("[z-a]", "out of order"),
        (r"[a-\d]", "out of order"),
        ("[]", "holds none"),
        ("[^]", "holds none or all"),
        (r"\ud800", "no character"),
        (r"\x4", "no character"),
        (r"\u{110000}", "no character"),
        ("\\", "at its end"),
        ("(" * 60, "nested"),
    ],
)
def test_what_is_refused(regex: str, said: str) -> None:
    """And why."""
    with pytest.raises(UnsupportedConstraint, match=said):
        regex_grammar(regex)


@pytest.mark.parametrize("regex", [r"[^\s\S]", r"a[^\s\S]"])
def test_what_nothing_matches_is_refused(regex: str) -> None:
    """By the library."""
    with pytest.raises(UnsupportedConstraint, match="no answer"):
        check_compiles(regex_grammar(regex))


@given(st.sets(st.text("ab-é", max_size=4), max_size=5), st.lists(st.text("ab-éx", max_size=5), max_size=20))
def test_all_but_some_texts(texts: set[str], tried: list[str]) -> None:
    """Every other text matches, and none of these."""
    pattern = re.sub(r"\\u\{([0-9a-f]+)\}", lambda code: f"\\U{int(code[1], 16):08x}", all_but(texts))
    for text in (*texts, *tried):
        assert bool(re.fullmatch(pattern, text)) is (text not in texts)
