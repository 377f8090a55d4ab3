"""Texts as grammars, and the library's verdict."""

import pytest

from phiserve.constraints.constraint import UnsupportedConstraint
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.lark import check_compiles, choice_grammar, rules_grammar
from unit.constraints.matching import byte_tokenizer, matcher, passes

TEXTS = [
    "a",
    "ab",
    "",
    'q"uote',
    "back\\slash",
    "line\nbreak",
    "a/b",
    "\x00",
    "<|end|>",
    "%json {}",
    "é😀\x7f",
    " ",
]


def test_choices() -> None:
    """Any texts, whatever they spell."""
    grammar = choice_grammar(TEXTS)
    check_compiles(grammar)
    assert all(passes(grammar, text) for text in TEXTS)
    assert not passes(grammar, "b")
    assert not passes(grammar, "a\\")


def test_texts_are_never_forced_as_control_tokens() -> None:
    """One that spells a control token of the vocabulary begins with its first byte."""
    tokenizer = byte_tokenizer()
    special = next(
        tokenizer.decode_str([code])
        for code in range(256, tokenizer.vocab_size)
        if tokenizer.is_special_token(code)
    )
    assert matcher(choice_grammar([special])).compute_ff_tokens() == []
    assert passes(choice_grammar([special]), special)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("start: nowhere", "refuses it.*unknown name"),
        ("start: start", "no answer could ever follow"),
        ('start: %json {"not": {}}', "Unimplemented keys"),
    ],
)
def test_the_verdict(rule: str, said: str) -> None:
    """The library's own sentence, without the grammar that it shows beside it."""
    with pytest.raises(UnsupportedConstraint, match=said) as caught:
        check_compiles(rules_grammar([rule]))
    assert "\n" not in caught.value.reason
    assert rule not in caught.value.reason


@pytest.mark.parametrize("character", ["a", "é", "😀"])
def test_a_long_text_is_followed_to_its_end_by_bytes(character: str) -> None:
    """The longest answer to a bounded text stays within the limits, whatever its tokens are."""
    grammar = json_schema_grammar({"type": "string", "minLength": 100, "maxLength": 2000})
    found = matcher(grammar)
    for code in f'"{character * 2000}"'.encode():
        found.compute_bitmask()
        assert found.consume_token(code), found.get_error()
    assert found.is_accepting()
