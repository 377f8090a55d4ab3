"""Questions about an image, and the requests that ask them: all in one as decisions, or each in a chat."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.images import data_url
from benchmarks.workloads import MODEL

Kind = Literal["predicate", "choice", "score"]

LETTERS = "ABCDEFGH"
TOP_LOGPROBS = 20
"""The most that a chat may ask for; every letter of an option is to be among them."""

_THINGS = ("door", "bicycle", "tree", "sign", "lamp", "bridge", "boat")
_CHOICES = ("red", "green", "blue", "yellow", "black", "white", "brown", "grey")
_LEVELS = ("not at all", "a little", "half", "mostly", "wholly")
_REQUEST = "Answer with the letters of one option only."


@dataclass(frozen=True, slots=True)
class Question:
    """One question; a predicate's options are what a chat is shown instead."""

    kind: Kind
    instructions: str
    options: tuple[str, ...]

    @property
    def letters(self) -> tuple[str, ...]:
        """One for each option."""
        return tuple(LETTERS[: len(self.options)])

    def as_decision(self) -> dict[str, object]:
        """As `/v1/decisions` takes it."""
        told: dict[str, object] = {"type": self.kind, "instructions": self.instructions}
        if self.kind == "choice":
            told["choices"] = [{"value": option} for option in self.options]
        if self.kind == "score":
            told["levels"] = [{"label": option} for option in self.options]
        return told

    def as_text(self) -> str:
        """As a chat is asked: the same words that a decision puts before the model."""
        lines = [f"- {letter}: {option}" for letter, option in zip(self.letters, self.options, strict=True)]
        return "\n".join([f"{self.instructions}\n", *lines, _REQUEST])


def questions(count: int) -> list[Question]:
    """As many, no two alike: predicates, choices of three to eight, scores of five levels in turn."""
    return [_question(number) for number in range(count)]


def _question(number: int) -> Question:
    thing = f"the {_THINGS[number % len(_THINGS)]} of group {number}"
    if number % 3 == 0:
        return Question("predicate", f"Is {thing} in the picture?", ("No", "Yes"))
    if number % 3 == 1:
        return Question("choice", f"Which colour has {thing}?", _CHOICES[: 3 + number % 6])
    return Question("score", f"How much of {thing} is to be seen?", _LEVELS)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: an image of `images.KINDS` by its number, or with no kind a text."""

    kind: str | None
    number: int
    detail: str | None = None

    @property
    def text(self) -> str:
        """What stands there without an image."""
        return f"Notice {self.number}: the lamp of the harbour is out."

    def image(self) -> dict[str, str]:
        """The URL and, where one is asked for, `detail`."""
        detail = {"detail": self.detail} if self.detail else {}
        return {"url": data_url(self.kind or "", self.number)} | detail


def decision(subject: Subject, asked: Sequence[Question]) -> bytes:
    """One request with all questions."""
    part: dict[str, Any] = {"type": "input_text", "text": subject.text}
    if subject.kind is not None:
        image = subject.image()
        part = {"type": "input_image", "image_url": image.pop("url"), **image}
    body = {
        "model": MODEL,
        "input": [{"role": "user", "content": [part]}],
        "questions": [question.as_decision() for question in asked],
    }
    return json.dumps(body).encode()


def chats(subject: Subject, asked: Sequence[Question], *, held: bool) -> list[bytes]:
    """A request for each question: one token, and what else it might have been.

    `held`: the token is held to the options' letters by `structured_outputs.choice`.
    """
    part: dict[str, Any] = {"type": "text", "text": subject.text}
    if subject.kind is not None:
        part = {"type": "image_url", "image_url": subject.image()}
    return [json.dumps(_chat(part, question, held)).encode() for question in asked]


def _chat(part: Mapping[str, Any], question: Question, held: bool) -> dict[str, Any]:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": [part, {"type": "text", "text": question.as_text()}]}],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": TOP_LOGPROBS,
    }
    return body | ({"structured_outputs": {"choice": question.letters}} if held else {})
