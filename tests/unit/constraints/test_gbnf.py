"""Grammars in GBNF: translated to what they mean; what is malformed or has no end is refused."""

import pytest

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.gbnf import gbnf_grammar
from phiserve.constraints.lark import check_compiles
from unit.constraints.matching import passes

JSON = r"""
root ::= value  # any value
value ::= (object | array | string | number | "true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= "-"? [0-9]+ ("." [0-9]+)? ([eE] [-+]? [0-9]{1,15})? ws
ws ::= "" | " " | "\n" [ \t]{0,20}
"""


@pytest.mark.parametrize(
    ("grammar", "good", "bad"),
    [
        ('root ::= "yes" | "no" " " ("indeed" | "never")', ["yes", "no never"], ["no", "yes never"]),
        ('root ::= root "+" term | term\nterm ::= [0-9]+ | "(" root ")"', ["1+(22+3)"], ["1+", "()"]),
        ('root ::= e\ne ::= e [-+*/] e | [0-9]+ | "(" e ")"', ["1-2/3"], ["-"]),
        ("root ::=\n  [^\\u0061-z]\n  | other-rule\nother-rule ::= [\\]a-]", ["]", "-", "A"], ["b"]),
        ('root ::= "a" # c\n  | "b"', ["a", "b"], ["c"]),
        ('root ::= [a-z]+ "x"', ["abx", "xx"], ["x"]),
        ('root ::= a\na ::= [a-z]+ a | "x"', ["abx", "xx", "x"], ["", "ab"]),
        ('root ::= "a"{2} "b"{0} "c"{1,2} [d]{2,}', ["aacdd", "aaccddd"], ["aabcdd", "acdd"]),
        (
            'root ::= "%json {}" start | R0\nstart ::= "<|end|>{0}/"\nR0 ::= "i"i\ni ::= "I"',
            ["%json {}<|end|>{0}/", "iI"],
            ["I"],
        ),
        ('root ::= rule.x rule_x rule-x\nrule.x ::= "1"\nrule_x ::= "2"\nrule-x ::= "3"', ["123"], ["111"]),
        (r'root ::= "\x41\u00e9\U0001F600\n\t\0\"\\\/" [\U0001F600-\U0001F601]', ['Aé😀\n\t\0"\\/😁'], ["A"]),
        ("root ::= [-a] [a\\-z] [^^] [\\^]", ["--x^"], ["-b^^"]),
        ('root ::= ("")* "a"? unused\nunused ::= ""', ["", "a"], ["aa"]),
        ('root ::= root root | "a"', ["a", "aaa"], [""]),
        (JSON, ['{"a": [1, "x\\n"], "b": -1.5e3}', "null"], ["{a}", '{"a":1,}', '"\n"']),
    ],
)  # fmt: skip
def test_what_is_served(grammar: str, good: list[str], bad: list[str]) -> None:
    """With the texts that follow it, and no others; no name or text of a client's means anything in Lark."""
    written = gbnf_grammar(grammar)
    check_compiles(written)
    assert [passes(written, text) for text in good + bad] == [True] * len(good) + [False] * len(bad)


@pytest.mark.parametrize(
    ("grammar", "said"),
    [
        ("root ::= root", "never comes to an end: root"),
        ('root ::= "x" a\na ::= b\nb ::= a', "never comes to an end: a"),
        ('root ::= "a" root', "never comes to an end"),
        ("root ::= nowhere", "does not define: nowhere"),
        ('root ::= "a"\nb ::= nowhere', "does not define: nowhere"),
        ('a ::= "x"', "no rule root"),
        ('root ::= "a"\nroot ::= "b"', "twice"),
        ('start: "a"', "not GBNF.*line 1, column 6"),
        ('"a"\nroot ::= "a"', "not in GBNF"),
        ('root ::= "a"\n  %json {}', "line 2, column 3"),
        ("root ::= <|end|>", "line 1, column 10"),
        ("root ::= /a/", "not GBNF"),
        ('root ::= Token("a")', "not supported"),
        ('root ::= (?="a") "a"', "not supported, at line 1, column 12"),
        ('root ::= "a" |', "empty alternative at its end"),
        ('root ::= ("a"', "not closed at line 1, column 10"),
        ('root ::= "a" )', r"a '\)' that fits nothing at line 1, column 14"),
        ('root ::= "a"**', "fits nothing"),
        (r'root ::= "\ud800"', "no character"),
        (r'root ::= "\x4"', "no character"),
        ("root ::= [z-a]", "out of order"),
        ("root ::= []", "holds none"),
        ("root ::= [^]", "holds none or all"),
        ('root ::= "a"{1,100000}', "more than 1000"),
        ('root ::= "a"{2,1}', "count"),
        (f"root ::= {'(' * 60}{')' * 60}", "nested"),
        ("\n".join(f'r{index} ::= "a"' for index in range(200)) + "\nroot ::= r1", "more than 200 rules"),
        (f'root ::= e\ne ::= {" | ".join(["e e"] * 1000)} | "a"', "name each other 2000 times; at most 100"),
        (f'root ::= ({"root | " * 150} "a") f\nf ::= {"root? " * 60}', "name each other 211 times"),
    ],
)
def test_what_is_refused(grammar: str, said: str) -> None:
    """And why, and where."""
    with pytest.raises(UnsupportedConstraint, match=said):
        gbnf_grammar(grammar)
