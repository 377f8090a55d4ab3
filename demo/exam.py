"""Held-out questions: pictures of words, layouts and seeds that training never saw, with the one right answer
to each.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from demo import pairs, talk
from demo.asking import MISTAKEN
from demo.kinds import DRAW
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


Maker = Callable[[random.Random], Question]


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the table: what it is, the least share of exact answers, where its chance comes from, how a
    question is made.
    """

    name: str
    goal: float
    seed: str
    make: Maker

    def question(self, number: int) -> Question:
        """Question `number`, always the same."""
        return self.make(random.Random(f"exam/{self.seed}/{number}"))


def first_exchange(kind: str, style: Style) -> Maker:
    """Questions for the whole of what a picture of this kind shows: number 0 of its exchanges."""

    def make(rng: random.Random) -> Question:
        scene = DRAW[kind](rng, style)
        return _ask(rng, scene, scene.exchanges[0])

    return make


def any_exchange(kind: str, style: Style) -> Maker:
    """One of the questions that can be asked of a picture of this kind."""

    def make(rng: random.Random) -> Question:
        scene = DRAW[kind](rng, style)
        return _ask(rng, scene, rng.choice(scene.exchanges))

    return make


def _ask(rng: random.Random, scene: Scene, exchange: Exchange) -> Question:
    return Question((scene.canvas.picture,), (), rng.choice(exchange.questions), text_of(exchange.answer))


def _two(rng: random.Random) -> Question:
    first, second = (DRAW[rng.choice(tuple(DRAW))](rng, one_font(held_out=True)) for _ in range(2))
    exchange = pairs.compare(first, second)[0]
    return Question(
        (first.canvas.picture, second.canvas.picture),
        (),
        rng.choice(exchange.questions),
        text_of(exchange.answer),
    )


def _second_turn(rng: random.Random) -> Question:
    scene = DRAW[rng.choice(("book", "chart", "shapes"))](rng, one_font(held_out=True))
    first, second = rng.sample(scene.exchanges, 2)
    earlier = ((rng.choice(first.questions), text_of(first.answer)),)
    return Question((scene.canvas.picture,), earlier, rng.choice(second.questions), text_of(second.answer))


def _talk(rng: random.Random) -> Question:
    pool = [(wording, answer) for wordings, answer in talk.TALK for wording in wordings]
    pool += [(question, talk.REFUSAL) for question in talk.OFF_TOPIC]
    pool += [(question, talk.NO_PICTURE) for question in talk.ASKED_WITHOUT]
    question, answer = rng.choice(pool)
    return Question((), (), question, answer.strip())


def _mistaken(rng: random.Random) -> Question:
    kind, other = rng.choice(
        (("book", "chart"), ("chart", "book"), ("shapes", "book"), ("shapes", "chart"), ("line", "chart"))
    )
    scene = DRAW[kind](rng, one_font(held_out=True))
    return Question(
        (scene.canvas.picture,), (), rng.choice(MISTAKEN[other]), f"I see no {other} in this picture."
    )


_ONE, _FOUR = one_font(held_out=True), four_fonts(held_out=True)

BOOK = Task("book cover, one font", 0.90, "book one", first_exchange("book", _ONE))
INTRODUCED = Task("bar chart introduced, one font", 0.85, "introduced", first_exchange("chart", _ONE))
SHAPES = Task("shapes", 0.90, "shapes", first_exchange("shapes", _ONE))
PAIR = Task("two pictures compared", 0.85, "two", _two)
LINE = Task("short text or number, one font", 0.85, "line one", first_exchange("line", _ONE))
TALK = Task("talk without a picture", 0.90, "talk", _talk)

TASKS = (
    BOOK,
    Task("book cover, four fonts", 0.75, "book four", first_exchange("book", _FOUR)),
    Task("bar chart, one font", 0.85, "chart one", any_exchange("chart", _ONE)),
    Task("bar chart, four fonts", 0.85, "chart four", any_exchange("chart", _FOUR)),
    INTRODUCED,
    SHAPES,
    PAIR,
    LINE,
    Task("short text or number, four fonts", 0.85, "line four", first_exchange("line", _FOUR)),
    Task("follow-up in a second turn", 0.85, "second turn", _second_turn),
    TALK,
    Task("a picture of another kind than the question supposes", 0.85, "mistaken", _mistaken),
)
