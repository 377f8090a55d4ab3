"""True answers about freshly drawn pictures, through the openai client: what only a right pipeline can give."""

import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from demo.evaluate import messages
from demo.exam import TASKS, Question, Task
from e2e.truth import answer, answers, require, share_right
from pictures import image_part, text_part

COUNT = 24
"""Questions a task: with a true share of 0.95, fewer than 18 right answers have a chance of one in 10,000."""

LEAST = 0.75

BY_NAME = {task.name: task for task in TASKS}
BOOK, CHART, SHAPES, PAIR = (
    BY_NAME[name] for name in ("book cover, one font", "bar chart, one font", "shapes", "two pictures compared")
)


@pytest.fixture(scope="module")
def demo(demo_url: str) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=f"{demo_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def questions(task: Task, count: int = COUNT) -> list[Question]:
    """Questions with numbers of their own, which the model card's table does not use."""
    return [task.question(10_000 + number) for number in range(count)]


def known(client: openai.OpenAI, task: Task, count: int) -> list[Question]:
    """Questions that the model answers exactly: for tests of what must not change an answer."""
    require(task.name)
    asked = questions(task, 2 * count + 8)
    given = answers(client, [messages(question) for question in asked])
    right = [question for question, mine in zip(asked, given, strict=True) if question.answer == mine]
    assert len(right) >= count, f"only {len(right)} of {len(asked)} answers of {task.name} are right"
    return right[:count]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_answers_are_true(demo: openai.OpenAI, task: Task) -> None:
    """Of every task, character for character."""
    require(task.name)
    assert share_right(demo, questions(task)) >= LEAST


def test_it_says_what_it_is(demo: openai.OpenAI) -> None:
    """Not Phi-3-vision."""
    card = demo.models.list().data[0].model_dump()
    assert card["id"] == "phiserve-demo"
    assert "not Phi-3-vision" in card["description"]


def test_streamed(demo: openai.OpenAI) -> None:
    """Piece by piece, the same answers."""
    for question in known(demo, BOOK, 4):
        stream = demo.chat.completions.create(
            model="phiserve-demo", messages=messages(question), temperature=0, max_tokens=160, stream=True
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == question.answer


def in_format(picture: Image.Image, name: str) -> bytes:
    """The same picture as another file."""
    file = BytesIO()
    match name:
        case "turned":
            exif = Image.Exif()
            exif[0x0112] = 6  # to be turned by a quarter clockwise when shown
            picture.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
        case "grey":
            picture.convert("L").save(file, "PNG")
        case "JPEG":
            picture.save(file, "JPEG", quality=90)
        case "palette":
            picture.quantize(256).save(file, "PNG")
        case _:
            picture.save(file, name, lossless=True)
    return file.getvalue()


@pytest.mark.parametrize("name", ["BMP", "GIF", "JPEG", "WEBP", "grey", "palette", "turned"])
def test_formats(demo: openai.OpenAI, name: str) -> None:
    """The same picture as another file gets the same answer: always where its pixels stay, nearly always where they change."""
    asked = known(demo, BOOK, 12)
    contents = [image_part(in_format(question.pictures[0], name)) for question in asked]
    given = answers(demo, [[user(content, question.question)] for content, question in zip(contents, asked, strict=True)])
    share = sum(mine == question.answer for mine, question in zip(given, asked, strict=True)) / len(asked)
    assert share == 1 if name in ("BMP", "WEBP", "turned") else share >= LEAST


def user(picture: dict[str, Any], text: str) -> dict[str, Any]:
    """A user's message: a picture, then a question."""
    return {"role": "user", "content": [picture, text_part(text)]}


def test_from_a_folder(demo: openai.OpenAI, picture_folder: Path) -> None:
    """As a file:// URL."""
    for number, question in enumerate(known(demo, CHART, 3)):
        path = picture_folder / f"{number}.png"
        question.pictures[0].save(path)
        picture = {"type": "image_url", "image_url": {"url": path.as_uri()}}
        assert answer(demo, [user(picture, question.question)]) == question.answer


def test_the_order_of_two_pictures(demo: openai.OpenAI) -> None:
    """The answer names first what is first: swap the pictures, and its halves swap."""
    asked = known(demo, PAIR, 8)
    swapped = [replace(question, pictures=question.pictures[::-1]) for question in asked]
    given = answers(demo, [messages(question) for question in swapped])
    pattern = re.compile(r"The first image shows (.*) and the second image shows (.*)\.")
    halves = [pattern.fullmatch(question.answer) for question in asked]
    right = [
        f"The first image shows {match[2]} and the second image shows {match[1]}." == mine
        for match, mine in zip(halves, given, strict=True)
        if match
    ]
    assert len(right) == len(asked)
    assert sum(right) / len(right) >= LEAST


def test_the_question_may_come_first(demo: openai.OpenAI) -> None:
    """Many clients put the text before the picture."""
    require(SHAPES.name)
    asked = questions(SHAPES)
    given = answers(demo, [messages(question, question_first=True) for question in asked])
    assert sum(mine == question.answer for mine, question in zip(given, asked, strict=True)) / len(asked) >= LEAST


def test_sixteen_at_once(demo: openai.OpenAI) -> None:
    """Each gets its own answer, the one it gets alone."""
    asked = [*known(demo, BOOK, 6), *known(demo, SHAPES, 5), *known(demo, CHART, 5)]
    assert answers(demo, [messages(question) for question in asked]) == [question.answer for question in asked]
