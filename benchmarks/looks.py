"""Asks all questions about an image at once and times the answers; several images at once where that is
wanted.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.figures import percentile
from benchmarks.load import with_session

DECISIONS_PATH = "/v1/decisions"
CHAT_PATH = "/v1/chat/completions"
_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Requests:
    """All that is sent at once about one image: one request with all questions, or one for each."""

    path: str
    bodies: tuple[bytes, ...]
    questions: int


@dataclass(frozen=True, slots=True)
class Look:
    """What became of them; times in seconds on the monotonic clock. Each failure is told by a text."""

    questions: int
    began_s: float
    ends_s: tuple[float, ...]
    failures: tuple[str, ...]

    @property
    def last_s(self) -> float:
        """Seconds from asking to the last answer."""
        return max(self.ends_s) - self.began_s

    @property
    def first_s(self) -> float:
        """Seconds from asking to the first answer."""
        return min(self.ends_s) - self.began_s


def look_at(url: str, groups: Sequence[Requests], at_once: int) -> list[Look]:
    """Ask about images, so many of them at once; a look for each, in no certain order."""

    async def work(session: aiohttp.ClientSession) -> list[Look]:
        """All clients at once."""
        left = iter(groups)
        looks: list[Look] = []

        async def client() -> None:
            for group in left:
                looks.append(await _look(session, url, group))

        await asyncio.gather(*(client() for _ in range(at_once)))
        return looks

    return with_session(work)


async def _look(session: aiohttp.ClientSession, url: str, group: Requests) -> Look:
    began = time.monotonic()
    answers = await asyncio.gather(*(_answer(session, url + group.path, body) for body in group.bodies))
    ends, failures = zip(*answers, strict=True)
    return Look(group.questions, began, ends, tuple(failure for failure in failures if failure))


async def _answer(session: aiohttp.ClientSession, url: str, body: bytes) -> tuple[float, str]:
    """When it came, and what was wrong with it. Never raises for what the server does."""
    try:
        async with session.post(url, data=body, headers=_HEADERS) as response:
            content = await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return time.monotonic(), f"{type(error).__name__}: {error}"
    ended = time.monotonic()
    if response.status != 200:
        return ended, f"{response.status}: {content[:300]!r}"
    is_answered = _is_answered(json.loads(body), json.loads(content))
    return ended, "" if is_answered else "an answer without its figures"


def _is_answered(asked: dict[str, Any], answer: dict[str, Any]) -> bool:
    if "questions" in asked:
        kinds = [question["type"] for question in asked["questions"]]
        return [one["type"] for one in answer["answers"]] == kinds
    (token,) = answer["choices"][0]["logprobs"]["content"]
    return bool(token["top_logprobs"])


def summary(looks: Sequence[Look]) -> dict[str, float]:
    """Questions a second over all, and seconds from asking to an image's last answer.

    Questions of requests that failed count as such and nowhere else.
    """
    asked = sum(look.questions for look in looks)
    measures = {"questions": float(asked), "failed": float(sum(len(look.failures) for look in looks))}
    good = [look for look in looks if not look.failures]
    if not good:
        return measures
    seconds = max(max(look.ends_s) for look in looks) - min(look.began_s for look in looks)
    return measures | {
        "questions_per_s": sum(look.questions for look in good) / seconds,
        "first_answer_s": percentile([look.first_s for look in good], 50),
        "last_answer_s": percentile([look.last_s for look in good], 50),
        "last_answer_p95_s": percentile([look.last_s for look in good], 95),
    }
