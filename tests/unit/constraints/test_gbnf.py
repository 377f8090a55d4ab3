"""Grammars in GBNF: what is malformed, has no end or costs too much is refused."""

import pytest

from phiserve.constraints.gbnf import check_grammar
from phiserve.constraints.syntax import UnsupportedExpression

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
    "grammar",
    [
        'root ::= "yes" | "no" " " ("indeed" | "never")',
        'root ::= root "+" term | term\nterm ::= [0-9]+ | "(" root ")"',
        'root ::= e\ne ::= e [-+*/] e | [0-9]+ | "(" e ")"',
        "root ::=\n  [^\\u0061-z]\n  | other-rule\nother-rule ::= [\\]a-]",
        JSON,
    ],
)
def test_what_is_served(grammar: str) -> None:
    """Choices, left recursion, comments, rules over several lines, llama.cpp's grammar of JSON."""
    check_grammar(grammar)


@pytest.mark.parametrize(
    ("grammar", "said"),
    [
        ("root ::= root", "never comes to an end: root"),
        ('root ::= "x" a\na ::= b\nb ::= a', "never comes to an end: a"),
        ('root ::= "a" root', "never comes to an end"),
        ("root ::= nowhere", "does not define: nowhere"),
        ('a ::= "x"', "no rule root"),
        ('root ::= "a"\nroot ::= "b"', "twice"),
        ('start: "a"', "not GBNF"),
        ('root ::= Token("a")', "not supported"),
        ('root ::= (?="a") "a"', "not supported"),
        ('root ::= "a" |', "empty alternative"),
        ('root ::= ("a"', "not closed"),
        ('root ::= "a" )', "fits nothing"),
        (r'root ::= "\ud800"', "no character"),
        (r'root ::= "\x4"', "no character"),
        ("root ::= [z-a]", "out of order"),
        ("root ::= []", "holds none"),
        ('root ::= "a"{1,100000}', "more than 128"),
        ('root ::= "a"{2,1}', "count"),
        (f"root ::= {'(' * 60}{')' * 60}", "nested"),
        ("\n".join(f'r{index} ::= "a"' for index in range(200)) + "\nroot ::= r1", "more than 200 rules"),
        (f"root ::= [{''.join(chr(0x4E00 + 2 * index) for index in range(1001))}]", "more than 1000 ranges"),
        ('root ::= ("")*', "may be empty"),
        ('root ::= root root | "a"', "can follow itself"),
        ('root ::= [a-z ]+ root | ""', "can follow itself"),
        ("root ::= word+\nword ::= [a-z ]+", r"can follow itself.*rule word"),
        (f"root ::= {'[^a]* ' * 10}", "too many repetitions"),
    ],
)
def test_what_is_refused(grammar: str, said: str) -> None:
    """And why."""
    with pytest.raises(UnsupportedExpression, match=said):
        check_grammar(grammar)
