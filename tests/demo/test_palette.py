"""Colours are told apart, and text can be read."""

import random

import numpy as np

from demo.canvas import Colour
from demo.palette import COLOURS, bar_colours, text_colours, varied


def nearest(colour: Colour) -> str:
    return min(
        COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], colour, strict=True))
    )


def test_a_shade_keeps_its_name() -> None:
    """However it is varied, a colour is nearest to its own name, and within what a byte holds."""
    rng = random.Random(0)
    for name, colour in COLOURS.items():
        shades = [varied(colour, rng) for _ in range(50)]
        assert {nearest(shade) for shade in shades} == {name}
        assert len(set(shades)) > 10
        assert all(0 <= value <= 255 for shade in shades for value in shade)


def test_ink_stands_out() -> None:
    """Every channel of ink and background differs by a hundred levels; `dark` is how often the ink is the
    lighter.
    """
    rng = random.Random(0)
    pairs = np.array([text_colours(rng, dark=0.25) for _ in range(1000)])
    differences = pairs[:, 0] - pairs[:, 1]
    assert abs(differences).min() >= 100
    assert 0.2 < (differences[:, 0] < 0).mean() < 0.3


def test_bars() -> None:
    """Bars have one colour or all different ones."""
    rng = random.Random(0)
    counts = {len(set(bar_colours(rng, 5))) for _ in range(40)}
    assert counts == {1, 5}
