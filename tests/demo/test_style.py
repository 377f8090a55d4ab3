"""Styles: which fonts, which sizes, which words."""

import random

from demo.fonts import FONTS
from demo.style import four_fonts, one_font


def test_fonts() -> None:
    """One font is the first, four are all; sizes of the one lie within those of the four."""
    rng = random.Random(0)
    one, four = one_font(), four_fonts()
    assert {one.font(rng) for _ in range(20)} == {0}
    assert {four.font(rng) for _ in range(80)} == {*range(len(FONTS))}
    assert four.smallest <= one.smallest < one.largest <= four.largest


def test_training_is_the_default() -> None:
    """Words kept from training are drawn only where that is asked for."""
    assert [style().held_out for style in (one_font, four_fonts)] == [False, False]
    assert [style(held_out=True).held_out for style in (one_font, four_fonts)] == [True, True]
