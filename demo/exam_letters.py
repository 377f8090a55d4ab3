"""Held-out questions for decisions, about pictures and texts that training never saw, each with the one right
option.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from demo.kinds import DRAW
from demo.posed import drawn
from demo.posed_pictures import posed, posed_of_any
from demo.posed_texts import posed_of_shapes, posed_simply
from demo.style import one_font
from phiserve.decisions.questions import Kind, Question


@dataclass(frozen=True, slots=True)
class Decision:
    """A question about a picture, or a text, and the index of the right option."""

    shown: Image.Image | str
    question: Question
    right: int


Maker = Callable[[random.Random], Decision]


@dataclass(frozen=True, slots=True)
class LettersTask:
    """A row of the table, as `exam.Task`; `goal` is the least share of right options."""

    name: str
    goal: float
    seed: str
    make: Maker

    def decision(self, number: int) -> Decision:
        """Decision `number`, always the same."""
        return self.make(random.Random(f"exam/{self.seed}/{number}"))


_STYLE = one_font(held_out=True)


def about_picture(picture: str, kind: Kind) -> Maker:
    """Questions of a kind about pictures of a kind."""

    def make(rng: random.Random) -> Decision:
        scene = DRAW[picture](rng, _STYLE)
        return Decision(scene.canvas.picture, *drawn(rng, posed(rng, scene, kind)))

    return make


def about_text(kind: Kind) -> Maker:
    """Questions of a kind about texts: half of them say one thing only."""

    def make(rng: random.Random) -> Decision:
        pose = posed_simply if rng.random() < 0.5 else posed_of_shapes
        text, asked = pose(rng, kind)
        return Decision(text, *drawn(rng, asked))

    return make


def _about_any(rng: random.Random) -> Decision:
    scene = DRAW[rng.choice(tuple(DRAW))](rng, _STYLE)
    return Decision(scene.canvas.picture, *drawn(rng, posed_of_any(rng, scene)))


LETTERS_TASKS = (
    LettersTask("predicate, text alone", 0.95, "letters text is", about_text("predicate")),
    LettersTask("choice, text alone", 0.95, "letters text which", about_text("choice")),
    LettersTask("score, text alone", 0.95, "letters text score", about_text("score")),
    LettersTask("predicate, shapes", 0.90, "letters shapes is", about_picture("shapes", "predicate")),
    LettersTask("choice, shapes", 0.85, "letters shapes which", about_picture("shapes", "choice")),
    LettersTask("score, shapes", 0.85, "letters shapes score", about_picture("shapes", "score")),
    LettersTask("predicate, bar chart", 0.85, "letters chart is", about_picture("chart", "predicate")),
    LettersTask("choice, bar chart", 0.80, "letters chart which", about_picture("chart", "choice")),
    LettersTask("score, bar chart", 0.85, "letters chart score", about_picture("chart", "score")),
    LettersTask("what a picture shows", 0.95, "letters any", _about_any),
)
