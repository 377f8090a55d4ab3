"""The kinds of pictures, and how often training draws each."""

import random
from collections.abc import Callable, Mapping

from demo.book import draw_book
from demo.chart import draw_chart
from demo.lines import draw_line
from demo.scene import Scene
from demo.shapes import draw_shapes
from demo.style import Style

DRAW: dict[str, Callable[[random.Random, Style], Scene]] = {
    "book": draw_book,
    "chart": draw_chart,
    "shapes": draw_shapes,
    "line": draw_line,
}

Shares = Mapping[str, float]
"""Which kinds of pictures, and how often."""

EASY: Shares = {"line": 0.55, "book": 0.25, "shapes": 0.12, "chart": 0.08}
USUAL: Shares = {"book": 0.3, "chart": 0.36, "shapes": 0.16, "line": 0.18}


def draw_kind(rng: random.Random, shares: Shares) -> str:
    """One of these kinds."""
    return rng.choices(list(shares), list(shares.values()))[0]


def draw_scene(rng: random.Random, style: Style, shares: Shares) -> Scene:
    """A picture of one of these kinds."""
    return DRAW[draw_kind(rng, shares)](rng, style)
