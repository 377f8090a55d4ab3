"""Held-out questions: pictures of words, layouts and seeds that training never saw, with the one right answer to each."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from demo import pairs, talk
from demo.packing import DRAW, MISTAKEN
from demo.scene import Exchange, Scene, text_of
from demo.style import Style, four_fonts, one_font


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: pictures, earlier turns as (question, answer), the question and the one right answer.

    The first question of a conversation stands after the pictures.
    """

    pictures: tuple[Image.Image, ...]
    earlier: tuple[tuple[str, str], ...]
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the table: what it is, the least share of exact answers, and how question number i is made."""

    name: str
    goal: float
    question: Callable[[int], Question]


def _rng(name: str, number: int) -> random.Random:
    return random.Random(f"exam/{name}/{number}")


def _ask(rng: random.Random, scene: Scene, exchange: Exchange) -> Question:
    return Question((scene.canvas.picture,), (), rng.choice(exchange.questions), text_of(exchange.answer))


def first_exchange(kind: str, style: Style, name: str) -> Callable[[int], Question]:
    """Questions for the whole of what a picture of this kind shows: number 0 of its exchanges."""

    def make(number: int) -> Question:
        rng = _rng(name, number)
        scene = DRAW[kind](rng, style)
        return _ask(rng, scene, scene.exchanges[0])

    return make


def any_exchange(kind: str, style: Style, name: str) -> Callable[[int], Question]:
    """One of the questions that can be asked of a picture of this kind."""

    def make(number: int) -> Question:
        rng = _rng(name, number)
        scene = DRAW[kind](rng, style)
        return _ask(rng, scene, rng.choice(scene.exchanges))

    return make


def _two(number: int) -> Question:
    rng = _rng("two", number)
    first, second = (DRAW[rng.choice(tuple(DRAW))](rng, one_font(held_out=True)) for _ in range(2))
    exchange = pairs.compare(first, second)[0]
    return Question((first.canvas.picture, second.canvas.picture), (), rng.choice(exchange.questions), text_of(exchange.answer))


def _second_turn(number: int) -> Question:
    rng = _rng("second turn", number)
    scene = DRAW[rng.choice(("book", "chart", "shapes"))](rng, one_font(held_out=True))
    first, second = rng.sample(scene.exchanges, 2)
    earlier = ((rng.choice(first.questions), text_of(first.answer)),)
    return Question((scene.canvas.picture,), earlier, rng.choice(second.questions), text_of(second.answer))


def _talk(number: int) -> Question:
    rng = _rng("talk", number)
    pool = [(wording, answer) for wordings, answer in talk.TALK for wording in wordings]
    pool += [(question, talk.REFUSAL) for question in talk.OFF_TOPIC]
    pool += [(question, talk.NO_PICTURE) for question in talk.ASKED_WITHOUT]
    question, answer = rng.choice(pool)
    return Question((), (), question, answer.strip())


def _mistaken(number: int) -> Question:
    rng = _rng("mistaken", number)
    kind, other = rng.choice((("book", "chart"), ("chart", "book"), ("shapes", "book"), ("shapes", "chart"), ("line", "chart")))
    scene = DRAW[kind](rng, one_font(held_out=True))
    return Question((scene.canvas.picture,), (), rng.choice(MISTAKEN[other]), f"I see no {other} in this picture.")


_ONE, _FOUR = one_font(held_out=True), four_fonts(held_out=True)

TASKS = (
    Task("book cover, one font", 0.90, first_exchange("book", _ONE, "book one")),
    Task("book cover, four fonts", 0.75, first_exchange("book", _FOUR, "book four")),
    Task("bar chart, one font", 0.85, any_exchange("chart", _ONE, "chart one")),
    Task("bar chart, four fonts", 0.85, any_exchange("chart", _FOUR, "chart four")),
    Task("bar chart introduced, one font", 0.85, first_exchange("chart", _ONE, "introduced")),
    Task("shapes", 0.90, first_exchange("shapes", _ONE, "shapes")),
    Task("two pictures compared", 0.85, _two),
    Task("short text or number, one font", 0.85, first_exchange("line", _ONE, "line one")),
    Task("short text or number, four fonts", 0.85, first_exchange("line", _FOUR, "line four")),
    Task("follow-up in a second turn", 0.85, _second_turn),
    Task("talk without a picture", 0.90, _talk),
    Task("a picture of another kind than the question supposes", 0.85, _mistaken),
)
