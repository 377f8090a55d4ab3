"""Measuring counts exact answers and wrong characters of what a server says."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from demo.evaluate import distance, measure
from demo.exam import Question, Task

PICTURE = Image.new("RGB", (4, 3), (200, 30, 30))
FOLLOW_UP = Question((PICTURE,), (("What is this?", "A book."),), "Who wrote it?", "Ann.")
short = st.text("abc", max_size=7)


@pytest.mark.parametrize(
    ("left", "right", "edits"),
    [
        ("", "", 0),
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("abc", "acb", 2),
        ("flaw", "lawn", 2),
    ],
)
def test_distance(left: str, right: str, edits: int) -> None:
    """Insertions, deletions and substitutions of single characters."""
    assert distance(left, right) == edits


@given(short, short, short)
def test_distance_is_one(one: str, other: str, third: str) -> None:
    """Symmetric, zero for equals alone, and no way round is shorter."""
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, third) <= distance(one, other) + distance(other, third)


def test_measure() -> None:
    """The share of exact answers, the share of wrong characters, and what went wrong."""
    said = iter(("Ann.", "Am.", "Ann.", None))

    async def create(**options: Any) -> Any:
        assert (options["model"], options["temperature"]) == ("m", 0)
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content=next(said)))])

    client: Any = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    result = asyncio.run(measure(client, "m", Task("t", 0.9, "s", lambda rng: FOLLOW_UP), 4))
    assert (result.name, result.goal, result.count, result.exact) == ("t", 0.9, 4, 0.5)
    assert result.wrong_characters == 6 / 16
    assert result.wrong == [("Who wrote it?", "Ann.", "Am."), ("Who wrote it?", "Ann.", "")]
