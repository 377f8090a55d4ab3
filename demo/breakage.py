"""What a broken pipeline would make of a picture: changes that true answers must not survive."""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.exam import BOOK, INTRODUCED, PAIR, SHAPES, Question, Task

Pixels = NDArray[np.uint8]
"""(height, width, 3)."""

Change = Callable[[Pixels], Pixels]

_SIDE = 336
_THIRD = 112
"""Of a crop: shapes then stand in other named places."""

_HALF_PATCH = 7


@dataclass(frozen=True, slots=True)
class Breakage:
    """A change of pixels, and the task by whose answers it is seen; `is_seen`, by which of them."""

    name: str
    seen_by: Task
    change: Change
    is_seen: Callable[[Question], bool] = lambda question: True

    def of_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Each crop changed: (n, 336, 336, 3)."""
        return np.stack([self.change(crop) for crop in crops])

    def of_question(self, question: Question) -> Question:
        """The question, asked about changed pictures."""
        changed = tuple(Image.fromarray(self.change(np.asarray(picture))) for picture in question.pictures)
        return replace(question, pictures=changed)

    def whole(self) -> Task:
        """The task, with those questions only whose right answer changes."""
        return replace(self.seen_by, make=self._make)

    def broken(self) -> Task:
        """The same about changed pictures; the right answers stay those to the whole ones."""
        return changed_task(self.whole(), self.name, self.of_question)

    def _make(self, rng: random.Random) -> Question:
        question = self.seen_by.make(rng)
        while not self.is_seen(question):
            question = self.seen_by.make(rng)
        return question


def changed_task(task: Task, name: str, change: Callable[[Question], Question]) -> Task:
    """A task whose questions are changed and whose answers are not."""
    return Task(f"{task.name}: {name}", 0.0, task.seed, lambda rng: change(task.make(rng)))


def shifted(by: int) -> Change:
    """Down and to the right, round the edges, by so many of the 336 pixels of a crop."""

    def change(pixels: Pixels) -> Pixels:
        shift = round(by * max(pixels.shape[:2]) / _SIDE)
        return np.roll(pixels, (shift, shift), (0, 1))

    return change


def pictures_swapped(question: Question) -> Question:
    """The question, asked about its pictures in the opposite order."""
    return replace(question, pictures=question.pictures[::-1])


BREAKAGES = (
    Breakage(
        "red and blue swapped",
        SHAPES,
        lambda pixels: np.ascontiguousarray(pixels[..., ::-1]),
        lambda question: re.search("red|blue", question.answer) is not None,
    ),
    Breakage("shifted by a third of the crop", SHAPES, shifted(_THIRD)),
    Breakage("upside down", BOOK, lambda pixels: np.ascontiguousarray(pixels[::-1])),
    Breakage("mirrored", INTRODUCED, lambda pixels: np.ascontiguousarray(pixels[:, ::-1])),
    Breakage("transposed", BOOK, lambda pixels: np.ascontiguousarray(pixels.swapaxes(0, 1))),
)
"""What must be noticed."""

BROKEN_TASKS = (
    *(breakage.broken() for breakage in BREAKAGES),
    changed_task(PAIR, "in the opposite order", pictures_swapped),
    Breakage("shifted by half a patch", BOOK, shifted(_HALF_PATCH)).broken(),
)
"""What is measured for the model card. A shift of half a patch is only told: letters are read at any
place."""
