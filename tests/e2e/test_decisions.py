"""Decisions through the real openai client and a real engine."""

import asyncio
import math
from typing import Any

import httpx
import openai
import pytest
from openai.types import Decision

from benchmarks.metrics import change, read
from e2e.conftest import MODEL
from e2e.running import InProcessServer
from e2e.test_counts import PHOTO_CROPS, clip_crops
from images import data_url, encode, noise, photo
from phiserve.engine.plan import BLOCK_TOKENS
from promptfoo_checks import ai_sdk, langchain, promptfoo

ORDERS = 2
"""Of each question's options, by default."""

PHOTO_TOKENS = 1_921
"""Of a photo of twelve crops."""

COFFEE = {"type": "input_image", "image_url": data_url(encode(photo("coffee"))), "detail": "low"}
ABOUT: Any = [{"type": "message", "role": "user", "content": [COFFEE]}]
PREDICATE: Any = {"type": "predicate", "instructions": "Is there a cup?"}
SCORE: Any = {"type": "score", "instructions": "How full?", "levels": [{"label": one} for one in "abc"]}


def choice(num_options: int, **fields: Any) -> Any:
    values = [{"value": f"kind {number}"} for number in range(num_options)]
    return {"type": "choice", "instructions": "Which?", "choices": values} | fields


def decided(server: InProcessServer, *questions: Any, content: Any = "Hi", **fields: Any) -> dict[str, Any]:
    """One answer as JSON, with diagnostics."""
    body = {"model": "m", "input": content, "questions": questions, "return_diagnostics": True} | fields
    response = httpx.post(f"{server.url}/v1/decisions", json=body, timeout=300)
    assert response.status_code == 200, response.text
    Decision.model_validate_json(response.content, strict=True)
    return dict(response.json())


def test_all_types(client: openai.OpenAI) -> None:
    """In the questions' order, with figures that keep to their bounds and add up."""
    decision = client.decisions.create(
        model=MODEL, input=ABOUT, questions=[PREDICATE, choice(26, name="k"), SCORE, choice(255)]
    )
    predicate, kind, score, many = decision.answers
    assert predicate.type == "predicate"
    assert predicate.name is None
    assert 0 <= predicate.probability <= 1
    assert kind.name == "k"
    for answer, count in ((kind, 26), (many, 255)):
        assert answer.type == "choice"
        assert len(answer.probabilities) == count
        assert round(sum(one.probability for one in answer.probabilities), 9) == 1
        likeliest = max(answer.probabilities, key=lambda one: one.probability)
        chosen = next(one for one in answer.probabilities if one.value == answer.choice)
        assert chosen.probability == likeliest.probability
    assert score.type == "score"
    assert score.score == pytest.approx(
        sum(one.value * one.probability for one in score.probabilities), abs=0.02
    )
    usage = decision.usage
    assert usage.output_tokens == 0
    assert usage.input_tokens == usage.total_tokens > 313


def test_clients_that_look_closely(url: str) -> None:
    """Take real answers to all types, with and without names."""
    body = {"model": MODEL, "input": ABOUT}
    named: Any = [PREDICATE, *map(choice, (2, 5, 26, 77, 255)), SCORE]
    named = [question | {"name": f"q{number}"} for number, question in enumerate(named)]
    unnamed: Any = [PREDICATE, choice(2) | {"choices": [{"value": True}, {"value": "true"}]}, SCORE]
    for questions in (named, unnamed):
        decision = httpx.post(f"{url}/v1/decisions", json=body | {"questions": questions}, timeout=300).json()
        assert promptfoo(questions, decision) == []
        if questions is named:
            assert ai_sdk(questions, decision) == []
            assert langchain(decision) == []


def test_the_input_counts_once(client: openai.OpenAI) -> None:
    """However many questions are asked of it."""
    (one, two, three) = (
        client.decisions.create(model=MODEL, input=ABOUT, questions=[SCORE] * number).usage.input_tokens
        for number in (1, 2, 3)
    )
    assert two - one == three - two < one - 313


def test_an_error_names_its_place(client: openai.OpenAI) -> None:
    """With OpenAI's code."""
    with pytest.raises(openai.BadRequestError) as refusal:
        client.decisions.create(model=MODEL, input=ABOUT, questions=[PREDICATE, choice(1)])
    error = refusal.value
    assert (error.code, error.param) == ("array_below_min_length", "questions[1].choices")
    with pytest.raises(openai.NotFoundError) as missing:
        client.decisions.create(model="other", input="Hi", questions=[PREDICATE])
    assert missing.value.code == "model_not_found"


def test_what_the_engine_says_of_the_labels(counted: InProcessServer) -> None:
    """The softmax over the labels of the very log-probabilities that chat tells of the same prompt."""
    answer = decided(counted, choice(3), content="Hi")["answers"][0]["diagnostics"]
    assert sum(answer["probabilities"]) == pytest.approx(1)
    assert 0 < answer["label_mass"] < 1


async def _chat(url: str, number: int) -> list[Any]:
    """Log-probabilities of a greedy answer."""
    messages = [{"role": "user", "content": f"Tell me about {number}"}]
    body = {"model": "m", "messages": messages, "max_tokens": 24, "temperature": 0, "ignore_eos": True}
    body |= {"logprobs": True, "top_logprobs": 5}
    async with httpx.AsyncClient(timeout=300) as http:
        response = await http.post(f"{url}/v1/chat/completions", json=body)
        return list(response.json()["choices"][0]["logprobs"]["content"])


def _figures(content: list[Any]) -> list[tuple[str, float]]:
    return [(top["token"], top["logprob"]) for token in content for top in (token, *token["top_logprobs"])]


def test_beside_others_as_alone(counted: InProcessServer) -> None:
    """Chats that ask for the likeliest tokens, and decisions, in the same steps of the engine."""
    questions = [choice(count) for count in (2, 5, 26, 140)]

    async def decide() -> Any:
        return await asyncio.to_thread(decided, counted, *questions)

    async def together() -> tuple[list[list[Any]], list[Any]]:
        chats = asyncio.gather(*(_chat(counted.url, number) for number in range(6)))
        decisions = [await decide() for _ in range(4)]
        return await chats, decisions

    alone = [asyncio.run(_chat(counted.url, number)) for number in range(6)]
    decided_alone = decided(counted, *questions)
    chats, decisions = asyncio.run(together())
    for content, expected in zip(chats, alone, strict=True):
        for (token, logprob), (expected_token, expected_logprob) in zip(
            _figures(content), _figures(expected), strict=True
        ):
            assert token == expected_token
            assert logprob == pytest.approx(expected_logprob, abs=1e-3)
    for decision in decisions:
        for answer, expected in zip(decision["answers"], decided_alone["answers"], strict=True):
            diagnostics, as_alone = answer["diagnostics"], expected["diagnostics"]
            assert diagnostics["probabilities"] == pytest.approx(as_alone["probabilities"], abs=1e-4)
            assert math.isclose(diagnostics["label_mass"], as_alone["label_mass"], rel_tol=1e-3)


def computed(found: dict[str, float]) -> float:
    """Tokens that the engine has not found in its cache."""
    return found["prefix_cache_queries"] - found["prefix_cache_hits"]


def test_one_look(counted: InProcessServer) -> None:
    """Twenty questions about a photo that the engine has never seen.

    CLIP sees it once; of each prompt only the question is computed anew, from the last whole block on.
    """
    questions = [choice(3, instructions=f"Which of these is number {number}?") for number in range(20)]
    before, crops = read(counted.url), clip_crops(counted)
    usage = decided(counted, *questions, content=[{"role": "user", "content": [photo_of(71)]}])["usage"]
    found = change(before, read(counted.url))
    assert clip_crops(counted) - crops == PHOTO_CROPS + 1
    assert (found["pictures_decoded"], found["pictures_sent"]) == (1, 1)
    reads = len(questions) * ORDERS
    prompt = found["prompt_tokens"] / reads
    own = (usage["input_tokens"] - prompt) / (len(questions) - 1)
    shared = prompt - own
    assert shared > PHOTO_TOKENS
    assert computed(found) < prompt + (reads - 1) * (shared % BLOCK_TOKENS + own) + 1


def test_one_look_at_a_question_s_own_image(counted: InProcessServer) -> None:
    """Whatever the orders of its options, and for another question that begins with it."""
    shown = photo_of(72)
    questions = [
        choice(3, instructions=[shown, {"type": "input_text", "text": text}]) for text in ("Which?", "What?")
    ]
    before, crops = read(counted.url), clip_crops(counted)
    decided(counted, *questions)
    found = change(before, read(counted.url))
    assert clip_crops(counted) - crops == PHOTO_CROPS + 1
    reads = len(questions) * ORDERS
    prompt = found["prompt_tokens"] / reads
    assert prompt > PHOTO_TOKENS
    assert computed(found) <= prompt + (reads - 1) * (BLOCK_TOKENS + prompt - PHOTO_TOKENS)


def photo_of(seed: int) -> dict[str, Any]:
    """A photo that no other test shows."""
    return {"type": "input_image", "image_url": data_url(encode(noise(640, 480, seed=seed)))}
