"""What is asked: bodies of chat requests, always the same for a number, images and texts unlike any other
number's.

Every answer is greedy, streamed and as long as asked for (`ignore_eos`), so that peers with the same weights
do the same work.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.images import data_url

MODEL = "bench"
"""The name every peer serves its model by."""

CONVERSATIONS = 8
"""Conversations of the workload that shows an image again and again; they take turns."""

MOST_IMAGES = 16
"""In a request: each has so many image numbers to itself, whatever the workload."""

_WORDS = (
    "river",
    "stone",
    "window",
    "paper",
    "garden",
    "signal",
    "copper",
    "morning",
    "letter",
    "harbour",
    "engine",
    "candle",
)


@dataclass(frozen=True, slots=True)
class Workload:
    """A name for the report, and number -> request."""

    name: str
    request: Callable[[int], dict[str, Any]]

    def body(self, number: int) -> bytes:
        """The request as it is sent."""
        return json.dumps(self.request(number)).encode()

    def bodies(self, count: int, first: int = 0) -> list[bytes]:
        """Requests of successive numbers."""
        return [self.body(number) for number in range(first, first + count)]


def text(count: int, number: int) -> str:
    """About as many words as `count`; the number leads, so that no two share a beginning of any length."""
    return " ".join([f"{number}:", *(_WORDS[(number + k * k) % len(_WORDS)] for k in range(count))])


def image(kind: str, number: int, detail: str | None = None) -> dict[str, Any]:
    """An image as a content part."""
    return {
        "type": "image_url",
        "image_url": {"url": data_url(kind, number)} | ({"detail": detail} if detail else {}),
    }


def chat(
    content: str | list[dict[str, Any]], answer_tokens: int, before: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """A request with one user message, after what was said before."""
    return {
        "model": MODEL,
        "messages": [*(before or []), {"role": "user", "content": content}],
        "max_tokens": answer_tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def texts(words: int = 40, answer_tokens: int = 128) -> Workload:
    """Text only."""
    return Workload("text", lambda number: chat(text(words, number), answer_tokens))


def images(kind: str, count: int = 1, detail: str | None = None, answer_tokens: int = 16) -> Workload:
    """`count` images and a short question."""

    def request(number: int) -> dict[str, Any]:
        """Of this number."""
        shown = [image(kind, number * MOST_IMAGES + k, detail) for k in range(count)]
        return chat([*shown, {"type": "text", "text": text(12, number)}], answer_tokens)

    name = kind if count == 1 else f"{count} x {kind}"
    return Workload(f"{name}, low" if detail else name, request)


def repeated() -> Workload:
    """An image shown in five turns of a conversation. Numbers go round conversations, so that turns come one
    after another.
    """

    def request(number: int) -> dict[str, Any]:
        """Of this number."""
        turn, conversation = divmod(number, CONVERSATIONS)
        block, turn = divmod(turn, 5)
        own = block * CONVERSATIONS + conversation
        first: dict[str, Any] = {
            "role": "user",
            "content": [
                image("1 MP", own * MOST_IMAGES + MOST_IMAGES - 1),
                {"type": "text", "text": text(12, own)},
            ],
        }
        said = [first]
        for earlier in range(turn):
            said += [
                {"role": "assistant", "content": text(16, own + earlier)},
                {"role": "user", "content": text(8, own * 5 + earlier)},
            ]
        return chat(said[-1]["content"], 16, said[:-1])

    return Workload("1 MP in 5 turns", request)


def mixed() -> Workload:
    """Long texts, short ones, photos and small images in turn."""
    long_text, short_text = texts(900, 64), texts(40, 64)
    cycle = (
        long_text,
        images("1 MP"),
        short_text,
        images("small PNG"),
        long_text,
        images("1 MP", detail="low"),
    )
    return Workload("mix", lambda number: cycle[number % len(cycle)].request(number))
