"""Broken pictures are broken as their names say."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from demo.breakage import BREAKAGES, BROKEN_TASKS, pictures_swapped, shifted
from demo.exam import PAIR, Question

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
BY_NAME = {breakage.name: breakage for breakage in BREAKAGES}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("red and blue swapped", lambda y, x, channel: (y, x, 2 - channel)),
        ("upside down", lambda y, x, channel: (3 - y, x, channel)),
        ("mirrored", lambda y, x, channel: (y, 5 - x, channel)),
        ("transposed", lambda y, x, channel: (x, y, channel)),
    ],
)
def test_every_pixel_goes_where_its_name_says(
    name: str, there: Callable[[int, int, int], tuple[int, int, int]]
) -> None:
    """And nothing is lost."""
    changed = BY_NAME[name].change(PIXELS)
    assert changed.size == PIXELS.size
    for place in np.ndindex(PIXELS.shape):
        assert changed[there(*place)] == PIXELS[place]


def test_a_shift_is_in_pixels_of_the_crop() -> None:
    """Whatever the picture's size: of 336 pixels, down and to the right."""
    shift = shifted(7)
    crop = np.zeros((336, 336, 3), np.uint8)
    crop[0, 0] = 255
    assert shift(crop)[7, 7, 0] == 255
    large = np.zeros((672, 480, 3), np.uint8)
    large[0, 0] = 255
    assert shift(large)[14, 14, 0] == 255


def test_crops_are_changed_one_by_one() -> None:
    """As pictures of their own."""
    crops = np.stack([PIXELS, PIXELS[::-1]])
    changed = BY_NAME["upside down"].of_crops(crops)
    assert np.array_equal(changed, np.stack([PIXELS[::-1], PIXELS]))


def test_questions_keep_their_words() -> None:
    """Only what is seen changes."""
    first, second = Image.fromarray(PIXELS), Image.new("RGB", (2, 3))
    question = Question((first, second), (), "What?", "This.")
    changed = BY_NAME["mirrored"].of_question(question)
    assert (changed.question, changed.answer) == ("What?", "This.")
    assert np.array_equal(np.asarray(changed.pictures[0]), PIXELS[:, ::-1])
    assert pictures_swapped(question).pictures == (second, first)


def test_every_breakage_is_measured() -> None:
    """On a task that there is, with that task's own questions and answers."""
    assert [task.name.split(": ")[1] for task in BROKEN_TASKS[: len(BREAKAGES)]] == [*BY_NAME]
    whole, broken = BREAKAGES[0].whole().question(3), BROKEN_TASKS[0].question(3)
    assert (broken.question, broken.answer) == (whole.question, whole.answer)
    assert np.array_equal(np.asarray(broken.pictures[0]), np.asarray(whole.pictures[0])[..., ::-1])
    assert re.search("red|blue", whole.answer)
    swapped = next(task for task in BROKEN_TASKS if task.seed == PAIR.seed)
    assert swapped.question(3).pictures == PAIR.question(3).pictures[::-1]
