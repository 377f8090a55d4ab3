"""Asking the demo model about freshly drawn images, and counting what is right."""

import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import openai

from demo.evaluate import RESULTS
from demo.exam import Question, Task
from demo.posting import messages

MODEL = "phiserve-demo"

BATCH = 16
"""Questions asked at once."""

FIRST = 10_000
"""Number of the first question: others than the model card's."""

MAX_TOKENS = 160
"""More than any answer has."""

SURE = -0.02
"""Log-probability of a token beside which no other has more than 2 %."""

_MEASURED: dict[str, float] = {
    row["name"]: row["exact"] for row in json.loads(RESULTS.read_text(encoding="utf-8"))["whole"]
}
"""Shares of exact answers by task, as the model card has them."""


def least_share(task: Task, count: int) -> float:
    """What a right pipeline gives of `count` questions of a task; see `least_of`."""
    return least_of(_MEASURED[task.name], count)


def least_of(measured: float, count: int) -> float:
    """What is right of `count` answers but for one chance in ten thousand, where a share of `measured` of all
    answers is; at least a quarter of that share.
    """
    share = min(measured, 0.98)
    return max(share / 4, share - 4 * math.sqrt(share * (1 - share) / count))


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and what the model answered: exactly the right answer; without doubt."""

    question: Question
    is_exact: bool
    is_sure: bool


@cache
def asked(client: openai.OpenAI, task: Task, first: int = FIRST) -> tuple[Answered, ...]:
    """A batch of a task's questions from number `first` on, asked at once, and once for all tests."""
    questions = [task.question(first + number) for number in range(BATCH)]
    with ThreadPoolExecutor(BATCH) as pool:
        return tuple(pool.map(partial(_answered, client), questions))


def known(client: openai.OpenAI, task: Task, count: int, first: int = FIRST) -> tuple[Question, ...]:
    """Questions from number `first` on that the model answers exactly and without doubt: for tests of what
    must not change.

    Where another token is nearly as likely, rounding decides, which differs with what else is in the batch.
    """
    found: list[Question] = []
    for number in range(first, first + 20 * count, BATCH):
        batch = asked(client, task, number)
        found += [answered.question for answered in batch if answered.is_exact and answered.is_sure]
        if len(found) >= count:
            return tuple(found[:count])
    raise AssertionError(f"only {len(found)} answers of {task.name} are right and sure")


def _answered(client: openai.OpenAI, question: Question) -> Answered:
    completion = client.chat.completions.create(
        model=MODEL, messages=messages(question), temperature=0, max_tokens=MAX_TOKENS, logprobs=True
    )
    choice = completion.choices[0]
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    is_sure = min(token.logprob for token in choice.logprobs.content) > SURE
    return Answered(question, choice.message.content == question.answer, is_sure)


def answer(client: openai.OpenAI, content: Sequence[Any]) -> str:
    """The answer to a conversation, at temperature 0."""
    completion = client.chat.completions.create(
        model=MODEL, messages=list(content), temperature=0, max_tokens=MAX_TOKENS
    )
    return completion.choices[0].message.content or ""


def answers(client: openai.OpenAI, conversations: Sequence[Sequence[Any]]) -> list[str]:
    """The answers to several conversations, asked at once, in their order."""
    with ThreadPoolExecutor(len(conversations)) as pool:
        return list(pool.map(lambda content: answer(client, content), conversations))


def share_right(client: openai.OpenAI, questions: Sequence[Question]) -> float:
    """Share of exact answers."""
    return share_exact(questions, answers(client, [messages(question) for question in questions]))


def share_exact(questions: Sequence[Question], given: Sequence[str]) -> float:
    """Share of the answers that are exactly right."""
    return sum(mine == question.answer for mine, question in zip(given, questions, strict=True)) / len(given)
