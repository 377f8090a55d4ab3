"""Grammars in Lark, as llguidance reads it.

Texts and classes are written so that no character of a client's means anything there; the library's own
verdict on a grammar is asked for here too.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache

from llguidance import LLMatcher, LLTokenizer
from pydantic import JsonValue

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.limits import LIMITS
from phiserve.errors import shortened

_HEADER = '%llguidance {"no_forcing": true}\n'
"""Without it the library forces a text's own tokenization: a control token, where the text spells one."""

_SCHEMA_OPENING = f"{_HEADER}start: %json "

MAX_SENTENCE_CHARACTERS = 200
_FAULT = re.compile(r"(?:at \d+\(\d+\): )?(?:failed to compile JSON schema: )?(.*)")

Range = tuple[int, int]
"""Code points, both inclusive."""


def schema_grammar(schema: Mapping[str, JsonValue]) -> str:
    """A grammar of JSON that follows a schema."""
    return f"{_SCHEMA_OPENING}{json.dumps(schema)}"


def is_of_schema(grammar: str) -> bool:
    """Whether a grammar is one of `schema_grammar`'s."""
    return grammar.startswith(_SCHEMA_OPENING)


def rules_grammar(rules: Iterable[str]) -> str:
    """A grammar of rules, the first of which is `start`."""
    return _HEADER + "\n".join(rules)


def quote(text: str) -> str:
    """A text in Lark: JSON's quotes, and escapes for all that is not ASCII."""
    return json.dumps(text)


def write_character(code: int) -> str:
    """A character in an expression of Rust's, alone or in a class."""
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\u{{{code:x}}}"


def write_class(ranges: Iterable[Range], *, negated: bool = False) -> str:
    """A class of characters in an expression of Rust's."""
    body = "".join(
        write_character(low) if low == high else f"{write_character(low)}-{write_character(high)}"
        for low, high in ranges
    )
    return f"[{'^' * negated}{body}]"


@cache
def _byte_tokenizer() -> LLTokenizer:
    """The library's own vocabulary of single bytes, which no checkpoint is needed for."""
    return LLTokenizer("byte", slices=[])


def check_compiles(grammar: str) -> None:
    """Compile a grammar, as far as that does not depend on a vocabulary.

    May take tenths of a second, without the interpreter's lock. Raises UnsupportedConstraint with the
    library's own sentence.
    """
    matcher = LLMatcher(_byte_tokenizer(), grammar, log_level=0, limits=LIMITS)
    if not matcher.is_error():
        matcher.compute_bitmask()  # finds grammars that nothing follows
        if not matcher.is_error():
            return
        never = matcher.get_error().startswith("NoExtension")
        raise UnsupportedConstraint(
            "no answer could ever follow it" if never else "would cost too much to follow"
        )
    sentence = matcher.get_error()
    if sentence.startswith("panic"):
        raise UnsupportedConstraint("is too large for the grammar library")
    found = _FAULT.match(sentence)
    fault = found[1] if found else sentence
    raise UnsupportedConstraint(
        f"the grammar library refuses it: {shortened(fault.strip(), MAX_SENTENCE_CHARACTERS)}"
    )


def choice_grammar(texts: Iterable[str]) -> str:
    """A grammar of a few texts."""
    return rules_grammar([f"start: {' | '.join(map(quote, texts))}"])
