"""Requests for decisions: what is taken, and where a mistake is said to be."""

import json
from typing import Any

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.decisions.request import Choice, DecisionsRequest
from phiserve.protocol.parsing import parse_request

PREDICATE = {"type": "predicate", "instructions": "Is it red?"}
CHOICE = {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": "b"}]}
SCORE = {"type": "score", "instructions": "How full?", "levels": [{"label": "empty"}, {"label": "full"}]}


def parsed(**fields: Any) -> DecisionsRequest:
    body = {"model": "m", "input": "Hi", "questions": [PREDICATE]} | fields
    return parse_request(json.dumps(body).encode(), DecisionsRequest)


def asked(question: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"questions": [question | fields]}


def choices(*values: object) -> dict[str, Any]:
    return asked(CHOICE, choices=[{"value": value} for value in values])


def user(*parts: object) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": parts}]}


@pytest.mark.parametrize(
    "fields",
    [
        {"input": ""},
        {"input": []},
        {"questions": [PREDICATE] * 400},
        {"questions": [PREDICATE | {"name": "__proto__.a[-1]"}, PREDICATE, PREDICATE]},
        choices(*map(str, range(255))),
        choices("true", True, False),
        asked(SCORE, levels=[{"label": str(number), "description": "d"} for number in range(10)]),
        asked(PREDICATE, instructions=[{"type": "input_text", "text": "Is it?"}]),
        asked(PREDICATE, instructions=[{"type": "input_json", "data": {"a": [1, None, {"b": 2.5}]}}]),
        {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
        {"prompt_cache_key": None, "prompt_cache_options": None, "safety_identifier": None},
        {"safety_identifier": "s" * 128},
        {"return_diagnostics": True},
        user(
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "input_image", "image_url": "data:,", "detail": None, "prompt_cache_breakpoint": None},
            {"type": "input_json", "data": [{"a": 1}, {}]},
        ),
        {
            "input": [
                {"role": "developer", "content": "Be brief.", "type": "message"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "phase": None},
                {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": "i", "namespace": None},
                {"type": "custom_tool_call_output", "call_id": "c", "output": [], "status": "completed"},
            ]
        },
    ],
)
def test_taken(fields: dict[str, Any]) -> None:
    """All forms of OpenAI's specification."""
    parsed(**fields)


def test_values_keep_their_types() -> None:
    """A string and a boolean of the same text are two."""
    (question,) = parsed(**choices("true", True)).questions
    assert isinstance(question, Choice)
    assert [choice.value for choice in question.choices] == ["true", True]


def test_names() -> None:
    """Absent is None; an empty one is a name."""
    first, second = parsed(questions=[PREDICATE, PREDICATE | {"name": ""}]).questions
    assert (first.given_name, second.given_name) == (None, "")


DEEP: list[Any] = []
for _ in range(32):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"questions": [{"type": "predicate"}]}, "missing_required_parameter", "questions[0].instructions"),
        (
            asked(SCORE, levels=[{"label": "a"}, {}]),
            "missing_required_parameter",
            "questions[0].levels[1].label",
        ),
        (asked(PREDICATE, instructions={}), "invalid_type", "questions[0].instructions"),
        (
            asked(CHOICE, choices=[{"value": "a", "description": None}, {"value": "b"}]),
            "invalid_type",
            "questions[0].choices[0].description",
        ),
        (choices("a", 1), "invalid_type", "questions[0].choices[1].value"),
        (asked(PREDICATE, name=None), "invalid_type", "questions[0].name"),
        (asked(PREDICATE, criteria="x"), "unknown_parameter", "questions[0].criteria"),
        ({"temperature": 0}, "unknown_parameter", "temperature"),
        ({"questions": []}, "empty_array", "questions"),
        (choices("a"), "array_below_min_length", "questions[0].choices"),
        (choices(), "empty_array", "questions[0].choices"),
        (choices(*map(str, range(256))), "array_above_max_length", "questions[0].choices"),
        (asked(SCORE, levels=[{"label": "a"}] * 11), "array_above_max_length", "questions[0].levels"),
        ({"questions": [PREDICATE] * 401}, "array_above_max_length", "questions"),
        ({"safety_identifier": "s" * 129}, "string_above_max_length", "safety_identifier"),
        ({"prompt_cache_key": "k" * 65}, "string_above_max_length", "prompt_cache_key"),
        (
            asked(PREDICATE, instructions="x" * (2**20 + 1)),
            "string_above_max_length",
            "questions[0].instructions",
        ),
        ({"prompt_cache_options": {"ttl": "1h"}}, "invalid_value", "prompt_cache_options.ttl"),
        ({"questions": [PREDICATE | {"name": "n"}, PREDICATE | {"name": "n"}]}, None, "questions[1].name"),
        (choices("a", "b", "a"), "invalid_value", "questions[0].choices[2].value"),
        ({"questions": [PREDICATE | {"type": "essay"}]}, "invalid_value", "questions[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "invalid_value", "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "invalid_value", "input[0].type"),
        (user({"type": "input_audio", "file_id": "f"}), "invalid_value", "input[0].content[0].type"),
        (
            user({"type": "input_image", "image_url": "x", "detail": "huge"}),
            "invalid_value",
            "input[0].content[0].detail",
        ),
        (
            user({"type": "input_image", "file_id": None}),
            "missing_required_parameter",
            "input[0].content[0].image_url",
        ),
        (user({"type": "input_json", "data": "text"}), "invalid_type", "input[0].content[0].data"),
        (user({"type": "input_json", "data": [1]}), "invalid_type", "input[0].content[0].data"),
        (user({"type": "input_json", "data": {"a": DEEP}}), "invalid_value", "input[0].content[0].data"),
        (
            user({"type": "input_json", "data": {"a": [0] * 10_000}}),
            "invalid_value",
            "input[0].content[0].data",
        ),
        (
            user({"type": "input_json", "data": {"a": "x" * 2**18}}),
            "invalid_value",
            "input[0].content[0].data",
        ),
        (
            {"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "invalid_value",
            "input[0].content[0].type",
        ),
        ({"input": 5}, "invalid_type", "input"),
    ],
)
def test_refused(fields: dict[str, Any], code: str | None, param: str) -> None:
    """With OpenAI's code and the exact path."""
    with pytest.raises(InvalidRequest) as refusal:
        parsed(**fields)
    assert (refusal.value.code, refusal.value.param) == (code, param)
