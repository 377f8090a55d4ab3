"""Calls of tools as grammars: their form, and arguments that follow each tool's schema.

The form is `functools[{"name":"look","arguments":{…}}]`, without white space, as later models of the Phi
family write calls. No JSON value begins so.
"""

from collections.abc import Mapping

from pydantic import JsonValue

from phiserve.constraints.constraint import InvalidSchema
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.lark import check_compiles, quote, rules_grammar

OPENING = "functools["
"""How an answer begins that calls tools."""

MAX_CALLS = 8
"""Of one answer. The model knows no tools: without a bound it may call on and on."""

NO_PARAMETERS: Mapping[str, JsonValue] = {"type": "object", "properties": {}}
"""The schema of a tool that takes no arguments."""

ANY_TEXT = rules_grammar(["start: TEXT", rf"TEXT: /(?s:.)*/ & ~/ ?{OPENING[:-1]}\[(?s:.)*/"])
"""A grammar of all texts but those that begin as calls do. An answer's first token may bring a space."""

_STARTS = ("start: calls", "start: calls | otherwise")
_CALLS_OPENING = "calls: OPENING call"
_OPENING = rf"OPENING: / ?{OPENING[:-1]}\[/"
"""One lexeme, with the space that an answer's first token may bring: llguidance's lexer is greedy, and would
give a space by itself to the text that may stand here too.
"""


def arguments_grammar(parameters: Mapping[str, JsonValue]) -> str:
    """A grammar of the arguments of one tool, by the JSON schema of its parameters.

    They are an object even where that is `nullable`. Raises InvalidSchema, or UnsupportedConstraint for what
    would not be enforced; both know the path.
    """
    typed: dict[str, JsonValue] = {"type": "object", **parameters, "nullable": False}
    if typed["type"] != "object":
        raise InvalidSchema("the arguments of a tool are an object; type must be 'object'", ("type",))
    return json_schema_grammar(typed)


def calls_grammar(arguments: Mapping[str, str], most: int, otherwise: str | None = None) -> str:
    """A grammar of one to `most` calls of tools, given the grammar of each tool's arguments by its name.

    `otherwise`: a grammar of answers that may be given instead, none of which may begin with `OPENING`.
    Raises UnsupportedConstraint where all tools together cost too much.
    """
    more = f' ("," call){{0,{most - 1}}}' if most > 1 else ""
    rules = [f'{_CALLS_OPENING}{more} "]"', _OPENING]
    rules.append(f"call: {' | '.join(f'call_{number}' for number in range(len(arguments)))}")
    for number, (name, grammar) in enumerate(arguments.items()):
        opening = quote(f'{{"name":"{name}","arguments":')
        rules.append(f'call_{number}: {opening} arguments_{number} "}}"')
        rules.append(f"arguments_{number}: {_nested(grammar)}")
    if otherwise is None:
        rules.insert(0, _STARTS[0])
    else:
        rules = [_STARTS[1], *rules, f"otherwise: {_nested(otherwise)}"]
    grammar = rules_grammar(rules)
    check_compiles(grammar)
    return grammar


def is_of_calls(grammar: str) -> bool:
    """Whether a grammar is one of `calls_grammar`'s."""
    return any(grammar.startswith(rules_grammar([start, _CALLS_OPENING])) for start in _STARTS)


def _nested(grammar: str) -> str:
    """A whole grammar as part of another."""
    return f"%lark {{\n{grammar}\n}}"
