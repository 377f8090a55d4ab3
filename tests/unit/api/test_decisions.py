"""The decisions route around a scripted engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types import Decision

from images import data_url, encode, noise
from key_files import bearer, write_keys
from phiserve.api.services import Services
from reading import ReadingEngine
from scripted import ScriptedEngine
from wire import ANSWER, post

PATH = "/v1/decisions"
PREDICATE = {"type": "predicate", "instructions": "Is it red?", "name": "red"}
CHOICE = {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": "b"}]}
SHOWN = {"type": "input_image", "image_url": data_url(encode(noise(60, 60))), "detail": "low"}

MakeServices = Callable[..., Services]


def decide(services: Services, *questions: Any, **fields: Any) -> httpx.Response:
    """One request."""
    headers = fields.pop("headers", None)
    body = {"model": "m", "input": "Hi", "questions": questions or [PREDICATE]} | fields
    return post(services, body, PATH, headers=headers)


def test_answers(make_services: MakeServices) -> None:
    """In the questions' order, exactly OpenAI's keys."""
    response = decide(make_services(ReadingEngine()), PREDICATE, CHOICE)
    Decision.model_validate_json(response.content, strict=True)
    body = response.json()
    assert body.keys() == {"model", "answers", "usage"}
    assert [(answer["type"], answer["name"]) for answer in body["answers"]] == [
        ("predicate", "red"),
        ("choice", None),
    ]
    assert body["answers"][0]["probability"] == 0.08
    assert body["usage"]["output_tokens"] == 0
    assert response.headers["x-request-id"]


def test_images_of_input_and_questions(make_services: MakeServices) -> None:
    """Both are read and counted."""
    engine = ReadingEngine()
    question = PREDICATE | {"instructions": [SHOWN, {"type": "input_text", "text": "Like this?"}]}
    usage = decide(make_services(engine), question, input=[{"role": "user", "content": [SHOWN]}]).json()[
        "usage"
    ]
    assert len(engine.generations[0].images) == 2
    assert usage["input_tokens"] == len(engine.generations[0].prompt_ids) > 2 * 313


SCORE = {"type": "score", "instructions": "How full?", "levels": [{"label": "a"}, {"label": "b"}]}
REQUIRED, MIN, MAX = "this field is required", "array_below_min_length", "array_above_max_length"
NAMED, UNKNOWN, MISSING = "invalid_value", "unknown_parameter", "missing_required_parameter"
CALL_ID = "No tool call found for function call output with call_id 'call_1'"


def asked(question: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"questions": [question | fields]}


def choices(*values: object) -> dict[str, Any]:
    return asked(CHOICE, choices=[{"value": value} for value in values])


def said(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"input": [{"role": role, "content": parts}]}


WRONG: list[tuple[dict[str, Any], str | None, str, str]] = [
    (asked({"type": "predicate"}), "missing_required_parameter", "questions[0].instructions", REQUIRED),
    (
        asked(SCORE, levels=[{"label": "a"}, {}]),
        "missing_required_parameter",
        "questions[0].levels[1].label",
        REQUIRED,
    ),
    (asked(PREDICATE, instructions={}), "invalid_type", "questions[0].instructions", "a string"),
    (asked(PREDICATE, name=None), "invalid_type", "questions[0].name", "a string"),
    (
        asked(CHOICE, choices=[{"value": "a", "description": None}, {"value": "b"}]),
        "invalid_type",
        "questions[0].choices[0].description",
        "a string",
    ),
    (choices(1, "b"), "invalid_type", "questions[0].choices[0].value", "a string or a boolean"),
    ({"questions": None}, "invalid_type", "questions", "an array"),
    (
        said({"type": "input_json", "data": 5}),
        "invalid_type",
        "input[0].content[0].data",
        "an object or an array of objects",
    ),
    (asked(PREDICATE, criteria="x"), UNKNOWN, "questions[0].criteria", "unknown"),
    (
        asked(CHOICE, choices=[{"value": "a", "weight": 1}, {"value": "b"}]),
        UNKNOWN,
        "questions[0].choices[0].weight",
        "unknown",
    ),
    ({"temperature": 0}, UNKNOWN, "temperature", "unknown"),
    ({"stream": True}, UNKNOWN, "stream", "unknown"),
    (said(SHOWN | {"file_id": "f"}), NAMED, "input[0].content[0].image_url", "exclude each other"),
    (said({"type": "input_image"}), MISSING, "input[0].content[0].image_url", REQUIRED),
    (said({"type": "input_file"}), NAMED, "input[0].content[0]", "one of file_data, file_id and file_url"),
    (
        asked(PREDICATE, instructions=[SHOWN | {"prompt_cache_breakpoint": None}]),
        UNKNOWN,
        "questions[0].instructions[0].prompt_cache_breakpoint",
        "unknown",
    ),
    ({"questions": []}, "empty_array", "questions", "at least 1 item"),
    (choices(), "empty_array", "questions[0].choices", "at least 2 items"),
    (choices("a"), MIN, "questions[0].choices", "at least 2 items"),
    (asked(SCORE, levels=[{"label": "a"}]), MIN, "questions[0].levels", "at least 2 items"),
    ({"questions": [CHOICE] * 401}, MAX, "questions", "at most 400 items"),
    (choices(*map(str, range(256))), MAX, "questions[0].choices", "at most 255 items"),
    (asked(SCORE, levels=[{"label": "a"}] * 11), MAX, "questions[0].levels", "at most 10 items"),
    (
        asked(PREDICATE, instructions="a" * (2**20 + 1)),
        "string_above_max_length",
        "questions[0].instructions",
        "at most 1048576 characters",
    ),
    ({"prompt_cache_key": "k" * 65}, "string_above_max_length", "prompt_cache_key", "at most 64 characters"),
    (
        {"safety_identifier": "s" * 129},
        "string_above_max_length",
        "safety_identifier",
        "at most 128 characters",
    ),
    (
        {"questions": [CHOICE, PREDICATE, PREDICATE]},
        None,
        "questions[2].name",
        "the name of an earlier question",
    ),
    (choices("a", "b", "a"), NAMED, "questions[0].choices[2].value", "a value of an earlier choice"),
    (asked(PREDICATE, type="essay"), NAMED, "questions[0].type", "one of predicate, choice, score"),
    (
        said({"type": "input_audio"}),
        NAMED,
        "input[0].content[0].type",
        "one of input_text, input_image, input_file, input_json",
    ),
    (said(SHOWN, role="tool"), NAMED, "input[0].role", "one of user, developer, system, assistant"),
    (said(SHOWN, role="system"), NAMED, "input[0].content[0].type", "must be 'input_text'"),
    (said(SHOWN, role="assistant"), NAMED, "input[0].content[0].type", "one of output_text, refusal"),
    (
        said(SHOWN | {"detail": "huge"}),
        NAMED,
        "input[0].content[0].detail",
        "'auto', 'low', 'high' or 'original'",
    ),
    (
        said({"type": "input_json", "data": {"a": [float("nan")]}}),
        NAMED,
        "input[0].content[0].data",
        "finite numbers",
    ),
    (
        said(SHOWN | {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}}),
        "unknown_parameter",
        "input[0].content[0].prompt_cache_breakpoint.ttl",
        "ttl",
    ),
    ({"input": ["hi"]}, "invalid_type", "input[0]", "must be an object"),
    ({"input": [{"content": "x"}]}, MISSING, "input[0].role", "required"),
    ({"questions": ["x"]}, "invalid_type", "questions[0]", "must be an object"),
    ({"questions": [{"instructions": "x"}]}, MISSING, "questions[0].type", "required"),
    (
        {"input": [{"role": "user", "content": ["x"]}]},
        "invalid_type",
        "input[0].content[0]",
        "must be an object",
    ),
    (said({"text": "x"}), MISSING, "input[0].content[0].type", "required"),
    (said({"type": 5}), "invalid_type", "input[0].content[0].type", "must be a string"),
    ({"questions": [{"type": None}]}, "invalid_type", "questions[0].type", "must be a string"),
    ({"input": [{"role": ["user"]}]}, "invalid_type", "input[0].role", "must be a string"),
    ({"input": [{"type": None, "role": "user"}]}, "invalid_type", "input[0].type", "must be a string"),
    ({"prompt_cache_options": {"ttl": "1h"}}, NAMED, "prompt_cache_options.ttl", "'30m'"),
    (
        {"input": [{"type": "function_call_output", "call_id": "call_1", "output": "x"}]},
        None,
        "input",
        CALL_ID,
    ),
    (
        said(SHOWN | {"image_url": "data:image/png;base64,AAAA"}),
        "invalid_image",
        "input[0].content[0].image_url",
        "not in a supported format",
    ),
    (
        said(SHOWN | {"image_url": "https://a.example/a.png"}),
        "invalid_image_url",
        "input[0].content[0].image_url",
        "send the image as a data URL",
    ),
    (
        said(*[SHOWN] * 5),
        "too_many_images",
        "input[0].content[4].image_url",
        "5 images; the limit is 4 (max_images)",
    ),
    (
        said(*[SHOWN] * 4) | asked(PREDICATE, instructions=[SHOWN]),
        "too_many_images",
        "questions[0].instructions[0].image_url",
        "5 images; the limit is 4",
    ),
    ({"input": "word " * 9000}, None, "input", "maximum context length is 4096 tokens"),
    (
        asked(PREDICATE, instructions="word " * 9000),
        None,
        "input",
        "maximum context length is 4096 tokens",
    ),
]
"""Fields, then the error's code, its `param`, and words that it says."""


@pytest.mark.parametrize(("fields", "code", "param", "words"), WRONG)
def test_mistakes(
    fields: dict[str, Any], code: str | None, param: str, words: str, make_services: MakeServices
) -> None:
    """Each names its place and says what is expected there, before the engine is asked."""
    engine = ReadingEngine()
    answer = decide(make_services(engine), **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", code)
    assert error["param"] == param
    assert words in error["message"]
    assert engine.generations == []


def test_another_model(make_services: MakeServices) -> None:
    """Is not served."""
    answer = decide(make_services(ReadingEngine()), model="other")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "this server serves 'm'" in answer.json()["error"]["message"]


def test_where_nothing_can_be_decided(make_services: MakeServices) -> None:
    """The reason is told."""
    answer = decide(make_services(ScriptedEngine(ANSWER)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_served")
    assert answer.json()["error"]["message"] == "it cannot tell of labels"


def test_label_mass(make_services: MakeServices) -> None:
    """Below what the settings ask for, a question is refused; diagnostics tell of it all the same."""
    engine = ReadingEngine(logprobs=[(-3.0, -4.0)])
    (answer,) = decide(make_services(engine, min_label_mass=0.5), return_diagnostics=True).json()["answers"]
    assert (answer["type"], answer["name"]) == ("refusal", "red")
    assert 0.06 < answer["diagnostics"]["label_mass"] < 0.07


def test_keys(make_services: MakeServices, tmp_path: Path) -> None:
    """Are asked for, and their limits hold."""
    write_keys(tmp_path / "keys.yaml", a={"tokens_per_minute": 30}, b={})
    services = make_services(ReadingEngine(), keys_file=tmp_path / "keys.yaml")
    assert decide(services).status_code == 401
    assert decide(services, headers=bearer("b")).status_code == 200
    refused = decide(services, headers=bearer("a"))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")
    assert "limit is 30 per minute" in refused.json()["error"]["message"]
