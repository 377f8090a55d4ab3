"""How hard a picture is to read: its fonts and the sizes of its letters."""

import random
from dataclasses import dataclass

from demo.fonts import FONTS


@dataclass(frozen=True, slots=True)
class Style:
    """`fonts` to choose from by index, font sizes in frame pixels, and whether words kept from training are
    used.
    """

    fonts: tuple[int, ...]
    smallest: float
    largest: float
    held_out: bool = False

    def font(self, rng: random.Random) -> int:
        """One of the fonts."""
        return rng.choice(self.fonts)


def one_font(*, held_out: bool = False) -> Style:
    """The first font, at usual sizes."""
    return Style((0,), 19, 31, held_out)


def four_fonts(*, held_out: bool = False) -> Style:
    """Every font, at all sizes that can be told apart."""
    return Style(tuple(range(len(FONTS))), 17, 38, held_out)
