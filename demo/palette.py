"""Colours by name, and pairs of colours that text can be read in."""

import random

from demo.canvas import Colour

COLOURS: dict[str, Colour] = {
    "red": (220, 30, 30),
    "green": (30, 160, 60),
    "blue": (40, 70, 220),
    "yellow": (245, 215, 30),
    "orange": (245, 135, 20),
    "purple": (130, 50, 170),
    "black": (10, 10, 10),
    "white": (255, 255, 255),
    "gray": (140, 140, 140),
    "pink": (250, 150, 190),
}


def varied(colour: Colour, rng: random.Random, by: int = 12) -> Colour:
    """A shade near a colour."""
    red, green, blue = (min(255, max(0, value + rng.randint(-by, by))) for value in colour)
    return red, green, blue


def text_colours(rng: random.Random, *, dark: float = 0.25) -> tuple[Colour, Colour]:
    """Background and ink, light under dark or, with probability `dark`, the other way round."""
    light, deep = _between(rng, 195, 255), _between(rng, 0, 80)
    if rng.random() < dark:
        return _between(rng, 0, 110), _between(rng, 215, 255)
    return ((255, 255, 255) if rng.random() < 0.3 else light), deep


def bar_colours(rng: random.Random, count: int) -> list[Colour]:
    """Colours of bars: all the same, or all different."""
    colours = [colour for name, colour in COLOURS.items() if name not in ("white", "black")]
    return [rng.choice(colours)] * count if rng.random() < 0.5 else rng.sample(colours, count)


def _between(rng: random.Random, low: int, high: int) -> Colour:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)
