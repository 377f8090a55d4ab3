"""Asking the demo model about freshly drawn pictures, and counting what is right."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from demo.evaluate import RESULTS, messages
from demo.exam import Question

MEASURED: dict[str, float] = (
    {row["name"]: row["exact"] for row in json.loads(RESULTS.read_text(encoding="utf-8"))["whole"]} if RESULTS.exists() else {}
)
"""Shares of exact answers by task, as the model card has them; none while no weights are shipped."""

ENOUGH = 0.85
"""From this share on, wrong answers tell of a wrong pipeline, not of the model."""


def require(*tasks: str) -> None:
    """Skip a test for which the shipped weights do not yet know enough of these tasks."""
    for task in tasks:
        if MEASURED.get(task, 0) < ENOUGH:
            pytest.skip(f"the demo model is still in training: {MEASURED.get(task, 0):.0%} of {task!r} are right so far")


def answer(client: openai.OpenAI, content: Sequence[Any], model: str = "phiserve-demo", **fields: Any) -> str:
    """The answer to a conversation, at temperature 0."""
    completion = client.chat.completions.create(
        model=model, messages=list(content), temperature=0, max_tokens=160, stream=False, **fields
    )
    return completion.choices[0].message.content or ""


def answers(client: openai.OpenAI, conversations: Sequence[Sequence[Any]]) -> list[str]:
    """The answers to several conversations, asked at once, in their order."""
    with ThreadPoolExecutor(len(conversations)) as pool:
        return list(pool.map(lambda content: answer(client, content), conversations))


def share_right(client: openai.OpenAI, questions: Sequence[Question]) -> float:
    """Share of exact answers."""
    given = answers(client, [messages(question) for question in questions])
    return sum(mine == question.answer for mine, question in zip(given, questions, strict=True)) / len(questions)
