"""Requests become questions about turns, and what was decided becomes answers in OpenAI's form."""

import json
import math
from typing import Any

import msgspec
import pytest
from openai.types import Decision as OpenAIDecision

from phiserve.core import ImagePlaceholder, TokenCounts, Turn
from phiserve.decisions.questions import Option
from phiserve.decisions.request import Decided, DecisionRequest
from phiserve.errors import InvalidRequest
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.translation import decision_of, to_decision_request
from phiserve.protocol.parsing import parse_request

PREDICATE = {"type": "predicate", "instructions": "Is it red?"}
CHOICE = {
    "type": "choice",
    "instructions": "Which?",
    "choices": [{"value": "a"}, {"value": True}],
    "name": "w",
}
SCORE = {
    "type": "score",
    "instructions": "How full?",
    "levels": [{"label": "empty"}, {"label": "half", "description": "or so"}, {"label": "full"}],
}


def wire(**fields: Any) -> DecisionsRequest:
    body = {"model": "m", "input": "Hi", "questions": [PREDICATE]} | fields
    return parse_request(json.dumps(body).encode(), DecisionsRequest)


def inner(**fields: Any) -> DecisionRequest:
    return to_decision_request(wire(**fields))


def answered(
    question: dict[str, Any], *probabilities: float, mass: float = 0.9, **options: Any
) -> dict[str, Any]:
    """One question's answer, as its JSON."""
    least = options.pop("least", 0.0)
    asked = wire(questions=[question], **options)
    logs = tuple(math.log(one) if one else -math.inf for one in probabilities)
    decided = Decided(probabilities, logs, mass, num_orders=2, flips=1)
    decision = decision_of(asked, "m", [decided], TokenCounts(20, 0, 5, 0), least)
    OpenAIDecision.model_validate_json(msgspec.json.encode(decision), strict=True)
    whole = msgspec.to_builtins(decision)
    assert whole["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
        "total_tokens": 20,
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    assert whole.keys() == {"model", "answers", "usage"}
    (answer,) = whole["answers"]
    return dict(answer)


def test_questions() -> None:
    """Options of all types."""
    predicate, choice, score = inner(questions=[PREDICATE, CHOICE, SCORE]).questions
    assert predicate.options == (Option("No"), Option("Yes"))
    assert choice.options == (Option('"a"'), Option("true"))
    assert score.options == (Option("empty"), Option("half", "or so"), Option("full"))
    assert (choice.kind, choice.instructions, choice.param) == ("choice", ("Which?",), "questions[1]")


def test_instructions_of_parts() -> None:
    """With an image of the question's own, which is named by its path."""
    parts = [
        {"type": "input_json", "data": {"é": [1]}},
        {"type": "input_image", "image_url": "u", "detail": "original"},
    ]
    request = inner(questions=[PREDICATE | {"instructions": parts}])
    image = ImagePlaceholder("u", "high", "questions[0].instructions[1].image_url")
    assert request.questions[0].instructions == ('{"é":[1]}', image)
    assert request.shown == (image,)


SAID = {"type": "input_text", "text": "said"}


def test_input() -> None:
    """A string is what the user says; roles and calls are turns."""
    assert inner().conversation.turns == (Turn("user", ("Hi",)),)
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "Look."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c", "name": "see", "arguments": '{"at": 1}'},
        {"type": "custom_tool_call", "call_id": "d", "name": "say", "input": "hello"},
        {"type": "function_call_output", "call_id": "c", "output": "nothing"},
        {
            "type": "custom_tool_call_output",
            "call_id": "d",
            "output": [{"type": "input_text", "text": "said"}],
        },
    ]
    conversation = inner(input=items).conversation
    assert conversation.param == "input"
    assert conversation.turns == (
        Turn("system", ("Be brief.",)),
        Turn("user", ("Look.",)),
        Turn(
            "assistant",
            ('I look.\nfunctools[{"name":"see","arguments":{"at":1}},{"name":"say","arguments":"hello"}]',),
        ),
        Turn("user", ("Result of call 1, see:\nnothing",)),
        Turn("user", ("Result of call 2, say:\nsaid",)),
    )


def test_an_output_without_its_call() -> None:
    """Is refused as OpenAI's Responses do."""
    items = [{"type": "function_call_output", "call_id": "c", "output": "x"}]
    with pytest.raises(
        InvalidRequest, match="No tool call found for function call output with call_id"
    ) as refusal:
        inner(input=items)
    assert (refusal.value.param, refusal.value.code) == ("input", None)


def test_a_predicate() -> None:
    """How likely it is true."""
    assert answered(PREDICATE, 0.254, 0.746) == {"type": "predicate", "name": None, "probability": 0.75}


def test_a_choice() -> None:
    """Values keep their types; the first of equal ones is chosen."""
    assert answered(CHOICE, 0.5, 0.5) == {
        "type": "choice",
        "name": "w",
        "choice": "a",
        "probabilities": [{"value": "a", "probability": 0.5}, {"value": True, "probability": 0.5}],
        "confidence": 0.0,
    }


def test_a_score() -> None:
    """From unrounded figures."""
    answer = answered(SCORE, 0.0, 0.75, 0.25)
    assert (answer["score"], answer["confidence"]) == (1.25, 0.63)
    assert answer["probabilities"][1] == {"value": 1, "label": "half", "probability": 0.75}


def test_diagnostics_are_there_when_asked_for() -> None:
    """With everything unrounded."""
    answer = answered(PREDICATE, 0.254, 0.746, return_diagnostics=True)
    assert answer["diagnostics"] == {"temperature": 1.0} | {
        "label_mass": 0.9,
        "probabilities": [0.254, 0.746],
        "orders": 2,
        "flips": 1,
        "logprobs": [math.log(0.254), math.log(0.746)],
    }
    never = answered(PREDICATE, 0.0, 1.0, return_diagnostics=True)
    assert never["diagnostics"]["logprobs"] == [None, 0.0]


def test_an_answer_that_the_model_did_not_want_to_give() -> None:
    """Is a refusal, where the settings say from which label mass on."""
    assert answered(CHOICE, 0.5, 0.5, mass=0.2, least=0.3) == {"type": "refusal", "name": "w"}
    assert answered(CHOICE, 0.5, 0.5, mass=0.3, least=0.3)["type"] == "choice"
