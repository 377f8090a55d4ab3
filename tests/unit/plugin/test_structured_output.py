"""Constrained answers in vLLM's own manager: they end as they should, or fail alone; half an answer never
passes for a whole one.
"""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from vllm import SamplingParams
from vllm.sampling_params import StructuredOutputsParams
from vllm.v1 import structured_output
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from phiserve.constraints.digits import MAX_DIGITS, MAX_EXPONENT_DIGITS
from phiserve.constraints.gbnf import MAX_RECURSIVE_MENTIONS, gbnf_grammar
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.regex import regex_grammar
from phiserve.plugin.register import register
from phiserve.plugin.structured_output import EnforcingBackend, UncompiledConstraint
from phiserve.plugin.tokenizer import Phi3VTokenizer

VOCAB_SIZE = 32064
ENDS = [2, 32000, 32001, 32007]
END = 32007
NO_FORCING = '%llguidance {"no_forcing": true}\n'
AMBIGUOUS = "start: s\ns: " + " | ".join(["/[a-z]/ s"] * 8) + " | /[a-z]/"
"""Has ever more readings, and costs ever more, from letter to letter."""


@pytest.fixture(scope="module")
def tokenizer(tokenizer_json: Path) -> Phi3VTokenizer:
    return Phi3VTokenizer.from_pretrained(str(tokenizer_json.parent))


@pytest.fixture(scope="module")
def manager(tokenizer: Phi3VTokenizer) -> StructuredOutputManager:
    """vLLM's, as its engine makes it, and our backend as it is registered."""
    register()
    config = SimpleNamespace(
        parallel_config=SimpleNamespace(distributed_executor_backend="uni"),
        scheduler_config=SimpleNamespace(max_num_seqs=4),
        model_config=SimpleNamespace(
            skip_tokenizer_init=False, get_vocab_size=lambda: VOCAB_SIZE, is_diffusion=False
        ),
        structured_outputs_config=SimpleNamespace(
            reasoning_parser_plugin="",
            reasoning_parser="",
            enable_in_reasoning=False,
            disable_any_whitespace=False,
            disable_additional_properties=False,
        ),
        num_speculative_tokens=0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structured_output, "cached_tokenizer_from_config", lambda **_: tokenizer)
        return StructuredOutputManager(config)


class Answer:
    """An answer under a constraint, token by token, as vLLM's scheduler does it."""

    def __init__(self, manager: StructuredOutputManager, grammar: str, kind: str = "grammar") -> None:
        outputs = StructuredOutputsParams(**{kind: grammar})
        outputs._backend = "guidance"
        params = SamplingParams(structured_outputs=outputs, max_tokens=9)
        self._manager = manager
        self.request = Request("r", [1], params, None)
        manager.grammar_init(self.request)
        waiting = self.request.structured_output_request
        assert waiting is not None
        self.error = waiting._grammar.exception()
        self.grammar = waiting.grammar

    def allowed(self) -> list[int]:
        """The tokens in the next mask."""
        mask = self._manager.grammar_bitmask({"r": self.request}, ["r"], {})
        assert mask is not None
        bits = np.unpackbits(mask[:1].view(np.uint8), bitorder="little")
        return [int(token_id) for token_id in np.flatnonzero(bits)]

    def accepts(self, *tokens: int) -> bool:
        """Whether these go on the answer; otherwise vLLM fails the request."""
        return bool(self._manager.accept_tokens(self.request, list(tokens)))


@pytest.fixture
def answer(manager: StructuredOutputManager) -> Callable[[str], Answer]:
    """Begins answers."""
    return lambda grammar: Answer(manager, grammar)


@pytest.fixture
def token(tokenizer: Phi3VTokenizer) -> Callable[[str], int]:
    """The ordinary token of these characters."""
    return tokenizer.get_vocab().__getitem__


def test_the_backend_is_ours(manager: StructuredOutputManager, answer: Callable[[str], Answer]) -> None:
    """vLLM makes it at the first constraint, by the name that `register` assigns."""
    answer('start: "a"')
    assert type(manager.backend) is EnforcingBackend


Tokens = Callable[[str], int]
Answers = Callable[[str], Answer]


def test_optional_ends(answer: Answers, token: Tokens) -> None:
    """Where an answer may end, each of the model's four end tokens may come; nowhere else."""
    digits = answer("start: /[0-9]+/")
    assert not set(ENDS) & set(digits.allowed())
    assert digits.accepts(token("7"))
    assert set(ENDS) < set(digits.allowed())
    assert token("7") in digits.allowed()
    assert digits.accepts(END)


@pytest.mark.parametrize("end", ENDS)
def test_nothing_follows_an_end(answer: Answers, token: Tokens, end: int) -> None:
    """Neither after an end token nor where the constraint is over by itself, but for more end tokens."""
    for grammar in ("start: /[0-9]+/", "start: /[0-9]/"):
        ended = answer(grammar)
        assert ended.accepts(token("7"), end)
        assert ended.allowed() == ENDS
        assert ended.accepts(end)
        assert ended.allowed() == ENDS
        assert not ended.accepts(token("7"))


def test_tokens_that_do_not_fit(answer: Answers, token: Tokens) -> None:
    """Fail the request, as vLLM expects, and whatever comes then."""
    digits = answer("start: /[0-9]+/")
    assert not digits.accepts(token("a"))
    assert not digits.accepts(END)


@pytest.mark.parametrize("grammar", ["start: nowhere", "start: /a(/", 'start: %json {"not": {}}', "", "{}"])
def test_what_does_not_compile(answer: Answers, grammar: str) -> None:
    """An error, which the scheduler turns into that of the request; vLLM's own backend logs it."""
    error = answer(grammar or " ").error
    assert type(error) is UncompiledConstraint
    assert str(error)


def test_other_kinds(manager: StructuredOutputManager) -> None:
    """Nothing but grammars of our own making is served."""
    assert type(Answer(manager, "[0-9]", kind="regex").error) is UncompiledConstraint


def test_too_costly_in_mid_answer(answer: Answers, token: Tokens) -> None:
    """The mask then lets the answer end, and its end is an error; others go on, also under the same
    grammar.
    """
    costly, other = answer(AMBIGUOUS), answer(AMBIGUOUS)
    assert other.accepts(token("a"))
    for _ in range(100):
        if costly.allowed() == ENDS:
            break
        assert costly.accepts(token("a"))
    assert [costly.accepts(end) for end in ENDS] == [False] * 4
    assert other.accepts(token("a"))
    assert other.accepts(END)


def test_the_costliest_grammar_that_is_taken(answer: Answers, token: Tokens) -> None:
    """Fails soon and alone.

    Twenty times as many alternatives, which are refused, held the engine for 17 seconds of one step.
    """
    alternatives = ["e e"] * (MAX_RECURSIVE_MENTIONS // 2)
    began = time.thread_time()
    costly = answer(gbnf_grammar(f'root ::= e\ne ::= {" | ".join(alternatives)} | "a"'))
    for _ in range(10):
        if costly.allowed() == ENDS:
            break
        assert costly.accepts(token("a"))
    assert not costly.accepts(END)
    assert time.thread_time() - began < 3


def test_dead_ends(answer: Answers) -> None:
    """A constraint that nothing follows ends with an error, not as an empty answer."""
    endless = answer('start: "a" start')
    assert endless.error or not endless.accepts(endless.allowed()[0])


def test_spelt_control_tokens(answer: Answers, tokenizer: Phi3VTokenizer, token: Tokens) -> None:
    """A text that spells a control token is written in ordinary tokens."""
    text = "<|user|>a<|end|>"
    spelt = answer(f'{NO_FORCING}start: "{text}"')
    written = ""
    while (allowed := spelt.allowed()) != ENDS:
        assert max(allowed) < 32000
        assert spelt.accepts(allowed[-1])
        written += str(tokenizer.convert_ids_to_tokens(allowed[-1]))
    assert written == text


def test_drafts(answer: Answers, token: Tokens) -> None:
    """Speculative tokens are tried, and taken back, over the end too."""
    pair = answer("start: /[0-9]{2}/")
    one = token("7")
    assert pair.grammar.validate_tokens([one, one, one]) == [one, one]
    assert pair.grammar.validate_tokens([token("a")]) == []
    assert pair.accepts(one, one, END, END)
    assert pair.grammar.validate_tokens([one]) == []
    pair.grammar.rollback(3)
    assert one in pair.allowed()
    assert pair.accepts(one)
    assert pair.allowed() == ENDS
    pair.grammar.reset()
    assert pair.accepts(one, one)


def test_numbers_end(answer: Answers, tokenizer: Phi3VTokenizer, token: Tokens) -> None:
    """JSON's digits do not go on for ever: not before the point, after it, or in the exponent."""
    number = answer(json_schema_grammar({"type": "number"}))
    assert number.accepts(*[token("3")] * (MAX_DIGITS - 1))
    assert token("3") in number.allowed()
    assert number.accepts(token("3"))
    begins = {tokenizer.convert_ids_to_tokens(allowed)[0] for allowed in number.allowed() if allowed < 32000}
    assert begins - {"<"} == {".", "e", "E"}  # "<0x2E>" and the like are single bytes
    assert set(ENDS) - {2} <= set(number.allowed())
    assert number.accepts(token("."))
    assert number.accepts(*[token("3")] * MAX_DIGITS)
    assert token("3") not in number.allowed()
    number.grammar.rollback(1)
    assert token("3") in number.allowed()
    assert number.accepts(token("e"), token("-"), *[token("3")] * MAX_EXPONENT_DIGITS)
    assert set(number.allowed()) == set(ENDS)
    number.grammar.reset()
    assert token("3") in number.allowed()


def test_digits_that_are_needed(answer: Answers, token: Tokens) -> None:
    """Where nothing but more of them leads on, they come; texts have as many as they like."""
    multiple = answer(json_schema_grammar({"type": "integer", "multipleOf": 7}))
    assert multiple.accepts(
        *[token("1")] * (MAX_DIGITS + 2)
    )  # a multiple of 7 has a number of ones that 6 divides
    assert token("1") in multiple.allowed()
    text = answer(json_schema_grammar({"type": "string"}))
    assert text.accepts(token('"'), *[token("1")] * (MAX_DIGITS + 5))
    expression = answer(regex_grammar("[0-9]+"))
    assert expression.accepts(*[token("1")] * (MAX_DIGITS + 5))
    assert token("1") in expression.allowed()
