"""True answers about freshly drawn images, through the openai client: what only a right pipeline can give."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from demo.breakage import pictures_swapped
from demo.exam import BOOK, INTRODUCED, LINE, PAIR, SHAPES, TASKS, Question, Task
from demo.posting import messages
from e2e.truth import MAX_TOKENS, MODEL, answer, answers, asked, known, least_share, share_exact
from images import image_part, text_part

ROOT = Path(__file__).parents[2]
README = [
    (
        "cover.png",
        "Help me get the title and author information of this book?",
        'The title of the book is "ALONE" and the author is Morgan Maxwell.',
    ),
    ("chart.png", "Which bar is the highest?", "The highest bar is Apr with 85."),
    (
        "shapes.png",
        "Describe this image.",
        "The picture shows a red circle at the top left, a blue square at the center and a green triangle at"
        " the bottom right on a white background.",
    ),
]


@pytest.fixture(scope="module")
def demo(demo_url: str) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=f"{demo_url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_answers_are_true(demo: openai.OpenAI, task: Task) -> None:
    """Of every task, character for character, as often as the model card says; other questions than the
    card's.
    """
    batch = asked(demo, task)
    share = sum(answered.is_exact for answered in batch) / len(batch)
    assert share >= least_share(task, len(batch))


def test_it_says_what_it_is(demo: openai.OpenAI) -> None:
    """Not Phi-3-vision."""
    card = demo.models.list().data[0].model_dump()
    assert card["id"] == "phiserve-demo"
    assert "not Phi-3-vision" in card["description"]


@pytest.mark.parametrize("task", [BOOK, INTRODUCED, SHAPES, PAIR, LINE], ids=lambda task: task.name)
def test_streamed(demo: openai.OpenAI, task: Task) -> None:
    """In pieces, the same answers; a busy machine sends several tokens as one."""
    for question in known(demo, task, 3):
        stream = demo.chat.completions.create(
            model=MODEL, messages=messages(question), temperature=0, max_tokens=MAX_TOKENS, stream=True
        )
        contents = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert "".join(contents) == question.answer
        assert len(contents) > 2


def test_as_clients_ask_by_default(demo: openai.OpenAI) -> None:
    """Sampled at OpenAI's default temperature of 1, sure answers stay true."""
    questions = known(demo, SHAPES, 12)
    with ThreadPoolExecutor(len(questions)) as pool:
        right = pool.map(lambda question: by_default(demo, question) == question.answer, questions)
    assert sum(right) >= 9


def by_default(demo: openai.OpenAI, question: Question) -> str | None:
    """The answer to a request that sets nothing."""
    completion = demo.chat.completions.create(model=MODEL, messages=messages(question))
    return completion.choices[0].message.content


def in_format(image: Image.Image, name: str) -> bytes:
    """The same image as another file."""
    file = BytesIO()
    match name:
        case "turned":
            exif = Image.Exif()
            exif[0x0112] = 6  # to be turned by a quarter clockwise when shown
            image.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
        case "grey":
            image.convert("L").save(file, "PNG")
        case "JPEG":
            image.save(file, "JPEG", quality=90)
        case "palette":
            image.quantize(256).save(file, "PNG")
        case _:
            image.save(file, name, lossless=True)
    return file.getvalue()


@pytest.mark.parametrize("name", ["BMP", "GIF", "JPEG", "WEBP", "grey", "palette", "turned"])
def test_formats(demo: openai.OpenAI, name: str) -> None:
    """The same image as another file gets the same answer: always where its pixels stay, nearly always where
    they change.
    """
    questions = known(demo, BOOK, 12)
    given = answers(
        demo,
        [
            [user(image_part(in_format(question.pictures[0], name)), question.question)]
            for question in questions
        ],
    )
    share = share_exact(questions, given)
    assert share == 1 if name in ("BMP", "WEBP", "turned") else share >= 0.5


def user(image: dict[str, Any], text: str) -> dict[str, Any]:
    """A user's message: an image, then a question."""
    return {"role": "user", "content": [image, text_part(text)]}


def test_from_a_folder(demo: openai.OpenAI, image_folder: Path) -> None:
    """As a file:// URL."""
    for number, question in enumerate(known(demo, INTRODUCED, 3)):
        path = image_folder / f"{number}.png"
        question.pictures[0].save(path)
        image = {"type": "image_url", "image_url": {"url": path.as_uri()}}
        assert answer(demo, [user(image, question.question)]) == question.answer


def test_the_order_of_two_images(demo: openai.OpenAI) -> None:
    """The answer names first what is first: swap the images, and its halves swap."""
    questions = known(demo, PAIR, 12)
    given = answers(demo, [messages(pictures_swapped(question)) for question in questions])
    swapped = [_halves_swapped(question.answer) for question in questions]
    assert sum(mine == right for mine, right in zip(given, swapped, strict=True)) >= 6


def _halves_swapped(answer: str) -> str:
    match = re.fullmatch(r"The first image shows (.*) and the second image shows (.*)\.", answer)
    assert match is not None
    return f"The first image shows {match[2]} and the second image shows {match[1]}."


def test_the_question_may_come_first(demo: openai.OpenAI) -> None:
    """Many clients put the text before the image."""
    questions = [answered.question for answered in asked(demo, SHAPES)]
    given = answers(demo, [messages(question, question_first=True) for question in questions])
    assert share_exact(questions, given) >= 0.5


def test_sixteen_at_once(demo: openai.OpenAI) -> None:
    """Each gets its own answer, the one it gets alone."""
    questions = [*known(demo, BOOK, 6), *known(demo, SHAPES, 5), *known(demo, INTRODUCED, 5)]
    assert answers(demo, [messages(question) for question in questions]) == [
        question.answer for question in questions
    ]


@pytest.mark.parametrize(("image", "question", "expected"), README)
def test_what_readme_shows(demo: openai.OpenAI, image: str, question: str, expected: str) -> None:
    """Is what is answered."""
    content = [image_part((ROOT / "docs" / "images" / image).read_bytes()), text_part(question)]
    assert answer(demo, [{"role": "user", "content": content}]) == expected
