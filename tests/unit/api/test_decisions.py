"""The decisions route around a scripted engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types import Decision

from images import data_url, encode, noise
from key_files import bearer, write_keys
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.decider import decider_of
from phiserve.decisions.temperatures import Temperatures
from phiserve.load import Load
from phiserve.preparation import PromptLimits
from phiserve.shared_prompts import SharedPreparer
from phiserve.vision.images import ImageService
from reading import ReadingEngine
from wire import post

PATH = "/v1/decisions"
PREDICATE = {"type": "predicate", "instructions": "Is it red?", "name": "red"}
CHOICE = {"type": "choice", "instructions": "Which?", "choices": [{"value": "a"}, {"value": "b"}]}
SHOWN = {"type": "input_image", "image_url": data_url(encode(noise(60, 60))), "detail": "low"}

MakeServices = Callable[..., Services]
Deciding = Callable[..., Services]


@pytest.fixture
def deciding(make_services: MakeServices, encoder: PromptEncoder, image_service: ImageService) -> Deciding:
    """Services that decide, with an engine."""

    def make(engine: ReadingEngine, **settings: object) -> Services:
        preparer = SharedPreparer(encoder, image_service, PromptLimits(4096, 16, 4, 64))
        decider = decider_of(engine, preparer, Load(64, 256, 60), 1, Temperatures())
        return replace(make_services(engine, **settings), decider=decider)

    return make


def decide(services: Services, *questions: Any, **fields: Any) -> httpx.Response:
    """One request."""
    headers = fields.pop("headers", None)
    body = {"model": "m", "input": "Hi", "questions": questions or [PREDICATE]} | fields
    return post(services, body, PATH, headers=headers)


def test_answers(deciding: Deciding) -> None:
    """In the questions' order, exactly OpenAI's keys."""
    response = decide(deciding(ReadingEngine()), PREDICATE, CHOICE)
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


def test_images_of_input_and_questions(deciding: Deciding) -> None:
    """Both are read and counted."""
    engine = ReadingEngine()
    question = PREDICATE | {"instructions": [SHOWN, {"type": "input_text", "text": "Like this?"}]}
    usage = decide(deciding(engine), question, input=[{"role": "user", "content": [SHOWN]}]).json()["usage"]
    assert len(engine.generations[0].images) == 2
    assert usage["input_tokens"] == len(engine.generations[0].prompt_ids) > 2 * 313


def test_mistakes(deciding: Deciding) -> None:
    """Each names its place, before the engine is asked."""
    engine = ReadingEngine()
    answer = decide(deciding(engine), CHOICE | {"choices": [{"value": "a"}]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "array_below_min_length")
    assert error["param"] == "questions[0].choices"
    assert decide(deciding(engine), model="other").json()["error"]["code"] == "model_not_found"
    long = decide(deciding(engine), input="word " * 9000)
    assert (long.status_code, long.json()["error"]["param"]) == (400, "input")
    assert engine.generations == []


def test_a_tokenizer_without_labels(make_services: MakeServices) -> None:
    """Is said to be the reason."""
    answer = decide(make_services(ReadingEngine()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_served")


def test_label_mass(deciding: Deciding) -> None:
    """Below what the settings ask for, a question is refused; diagnostics tell of it all the same."""
    engine = ReadingEngine(logprobs=[(-3.0, -4.0)])
    (answer,) = decide(deciding(engine, min_label_mass=0.5), return_diagnostics=True).json()["answers"]
    assert (answer["type"], answer["name"]) == ("refusal", "red")
    assert 0.06 < answer["diagnostics"]["label_mass"] < 0.07


def test_keys(deciding: Deciding, tmp_path: Path) -> None:
    """Are asked for, and their limits hold."""
    write_keys(tmp_path / "keys.yaml", a={"tokens_per_minute": 30}, b={})
    services = deciding(ReadingEngine(), keys_file=tmp_path / "keys.yaml")
    assert decide(services).status_code == 401
    assert decide(services, headers=bearer("b")).status_code == 200
    refused = decide(services, headers=bearer("a"))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")
    assert "limit is 30 per minute" in refused.json()["error"]["message"]
