"""Pictures reach the model as JPEG or in grey now and then, and are otherwise left alone."""

import random

import numpy as np

from demo.augment import augmented
from drawings import scenes

TEXT, SHAPES = scenes("book")[1].canvas, scenes("shapes")[1].canvas
SEEN = [augmented(TEXT, random.Random(number)).astype(int) for number in range(200)]


def test_how_often() -> None:
    """One picture of text in twenty is grey, one in seven a JPEG; four of five are as drawn."""
    plain = TEXT.crop().astype(int)
    same = [bool((crop == plain).all()) for crop in SEEN]
    grey = [bool((np.ptp(crop, -1) == 0).all()) for crop in SEEN]
    assert 0.73 < np.mean(same) < 0.88
    assert 0.02 < np.mean(grey) < 0.09
    assert np.ptp(plain, -1).max() > 10  # so that grey is a change
    jpeg = [
        crop
        for crop, left_alone, without_colour in zip(SEEN, same, grey, strict=True)
        if not left_alone | without_colour
    ]
    assert 0.08 < len(jpeg) / len(SEEN) < 0.22
    assert max(float(abs(crop - plain).mean()) for crop in jpeg) < 6  # still the same picture


def test_shapes_keep_their_colours() -> None:
    """A picture without text is never made grey: its colours are what is asked for."""
    assert all(
        np.ptp(augmented(SHAPES, random.Random(number)).astype(int), -1).max() > 60 for number in range(60)
    )
