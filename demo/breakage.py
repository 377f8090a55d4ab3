"""What a broken pipeline would make of a picture: changes that true answers must not survive."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.exam import Question

Pixels = NDArray[np.uint8]
"""(height, width, 3)."""

_SIDE = 336
_HALF_PATCH = 7
"""Of a picture that fills a crop."""


@dataclass(frozen=True, slots=True)
class Breakage:
    """A change of pixels, and the task by whose answers it is seen."""

    name: str
    task: str
    change: Callable[[Pixels], Pixels]

    def of_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Each crop changed: (n, 336, 336, 3)."""
        return np.stack([self.change(crop) for crop in crops])

    def of_question(self, question: Question) -> Question:
        """The question, asked about changed pictures."""
        changed = tuple(Image.fromarray(self.change(np.asarray(picture))) for picture in question.pictures)
        return replace(question, pictures=changed)


def _shifted(pixels: Pixels) -> Pixels:
    shift = round(_HALF_PATCH * max(pixels.shape[:2]) / _SIDE)
    return np.roll(pixels, (shift, shift), (0, 1))


BREAKAGES = (
    Breakage("red and blue swapped", "shapes", lambda pixels: np.ascontiguousarray(pixels[..., ::-1])),
    Breakage("upside down", "shapes", lambda pixels: np.ascontiguousarray(pixels[::-1])),
    Breakage("mirrored", "bar chart, one font", lambda pixels: np.ascontiguousarray(pixels[:, ::-1])),
    Breakage("transposed", "book cover, one font", lambda pixels: np.ascontiguousarray(pixels.swapaxes(0, 1))),
    Breakage("shifted by half a patch", "book cover, one font", _shifted),
)


def pictures_swapped(question: Question) -> Question:
    """The question, asked about its pictures in the opposite order."""
    return replace(question, pictures=question.pictures[::-1])
