"""Answers pass the checks of clients that look closely, whatever the probabilities."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from phiserve.core import TokenCounts
from phiserve.decisions.request import Decided
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.translation import decision_of
from phiserve.protocol.parsing import parse_request
from promptfoo_checks import Json, ai_sdk, langchain, promptfoo

DISTRIBUTIONS = 2_000
"""Random ones, for each number of options: half of them flat, half of them steep."""

AT_ONCE = 100
"""Questions of one request."""

PREDICATE: Json = {"type": "predicate", "instructions": "Is it red?"}


def choice(*values: str | bool) -> Json:
    return {"type": "choice", "instructions": "Which?", "choices": [{"value": value} for value in values]}


def score(num_levels: int) -> Json:
    levels = [{"label": f"level {number}"} for number in range(num_levels)]
    return {"type": "score", "instructions": "How full?", "levels": levels}


def asked(questions: list[Json]) -> DecisionsRequest:
    body = {"model": "m", "input": "Hi", "questions": questions}
    return parse_request(json.dumps(body).encode(), DecisionsRequest)


def decided(request: DecisionsRequest, probabilities: Any) -> Json:
    """The decision about questions with these probabilities, a row each."""
    outcomes = [Decided(tuple(map(float, row)), (), 1.0, 2, 0) for row in probabilities]
    decision = decision_of(request, "m", outcomes, TokenCounts(20, 0, 0, 0), 0.0)
    return dict(json.loads(msgspec.json.encode(decision)))


def softmax(num_options: int) -> Any:
    """Random distributions, a row each."""
    logits = np.random.default_rng(num_options).normal(size=(DISTRIBUTIONS, num_options))
    logits[::2] *= 3
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "question",
    [
        pytest.param(PREDICATE, id="predicate"),
        *(pytest.param(choice(*map(str, range(n))), id=f"choice of {n}") for n in (2, 3, 5, 10, 26, 77, 255)),
        *(pytest.param(score(n), id=f"score of {n}") for n in range(2, 11)),
    ],
)
def test_random_distributions(question: Json) -> None:
    """None fails any check of promptfoo, the AI SDK or LangChain."""
    num_options = len(question.get("choices") or question.get("levels") or "ny")
    rows = softmax(num_options)
    questions = [question | {"name": f"q{number}"} for number in range(AT_ONCE)]
    request = asked(questions)
    for part in np.split(rows, DISTRIBUTIONS // AT_ONCE):
        decision = decided(request, part)
        assert promptfoo(questions, decision) == []
        assert ai_sdk(questions, decision) == []
        assert langchain(decision) == []


def test_values_and_names_as_given() -> None:
    """Booleans, odd names, and none."""
    questions = [choice(True, "true", False), PREDICATE | {"name": "__proto__.a[-1]"}, PREDICATE]
    decision = decided(asked(questions), [(0.2, 0.5, 0.3), (0.1, 0.9), (1.0, 0.0)])
    assert promptfoo(questions, decision) == []


CHOSEN: Json = {
    "type": "choice",
    "name": None,
    "choice": "a",
    "confidence": 0.5,
    "probabilities": [{"value": "a", "probability": 0.6}, {"value": "b", "probability": 0.4}],
}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": "other"}, "answers[0] has another name"),
        ({"type": "predicate"}, "answers[0] is of another type"),
        ({"confidence": 1.0000001}, "answers[0] has a figure outside 0 to 1"),
        ({"choice": True}, "answers[0] chooses what was not there"),
        ({"probabilities": CHOSEN["probabilities"][::-1]}, "answers[0] has other values"),
        (
            {"probabilities": [{"value": "a", "probability": 0.6}, {"value": "b", "probability": 0.38}]},
            "answers[0] has probabilities that add up to 0.98",
        ),
    ],
)
def test_the_checks_find_what_is_wrong(changed: Json, reason: str) -> None:
    """So that they are worth passing."""
    usage = {"total_tokens": 3, "input_tokens": 3, "output_tokens": 0}
    right = {"answers": [CHOSEN], "usage": usage}
    assert promptfoo([choice("a", "b")], right) == []
    assert promptfoo([choice("a", "b")], right | {"answers": [CHOSEN | changed]}) == [reason]
    assert promptfoo([choice("a", "b")], right | {"usage": usage | {"total_tokens": 4}}) == [
        "usage does not add up"
    ]
    assert promptfoo([], right) == ["1 answers to 0 questions"]


def test_rounding_one_by_one_would_fail() -> None:
    """A third of the choices among 26, which is why hundredths are given out by their remainders."""
    sums = softmax(26).round(2).sum(axis=1)
    assert np.mean(abs(sums - 1) > 0.01 + 1e-9) > 0.2
