"""A picture being drawn, and the truth about it: where each glyph and each edge lies in what the model sees.

Places and sizes are in frame pixels: the 336 x 336 px to which the server reduces a picture when
it cuts one crop of it.
"""

import random
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from demo.fonts import load_font, width_em
from phiserve.checkpoint.demo_tower import PATCH
from phiserve.vision.crops import Crops, cut_crops
from phiserve.vision.sizes import CROP_SIDE, plan_crops

Colour = tuple[int, int, int]

EDGE_KINDS = ("circle", "square", "triangle")


CLEARANCE = 2.0
"""How far a line's middle stays from the borders of rows of patches, so that all its glyphs belong to one
row."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """A character drawn with its centre at (x, y)."""

    character: str
    x: float
    y: float


@dataclass
class Canvas:
    """Draws into a picture of `size` (width, height) that shows in a frame as `left`, `top`, `width`,
    `height`.
    """

    size: tuple[int, int]
    background: Colour
    glyphs: list[Glyph] = field(default_factory=list)

    def __post_init__(self) -> None:
        plan = plan_crops(*self.size, 1)
        self.width, self.height = plan.resized
        self.left, self.top = ((CROP_SIDE - side) // 2 for side in plan.resized)
        self.scale = max(self.size) / CROP_SIDE
        self.picture = Image.new("RGB", self.size, self.background)
        self._draw = ImageDraw.Draw(self.picture)
        self._edges = Image.new("L", (CROP_SIDE, CROP_SIDE))
        self._draw_edges = ImageDraw.Draw(self._edges)

    @property
    def right(self) -> float:
        """Right side in the frame."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Lower side in the frame."""
        return self.top + self.height

    def text(self, x: float, y: float, text: str, size: float, fill: Colour, font: int) -> tuple[Glyph, ...]:
        """Write a line that starts at x and is centred on y, or as near as CLEARANCE allows; its glyphs,
        spaces included.
        """
        y = clear_of_borders(y)
        font_px = load_font(font, max(1, round(size * self.scale)))
        self._draw.text(self._at(x, y), text, font=font_px, fill=fill, anchor="lm")
        # Hinting rounds each character's advance, so that only the font at this very size knows where the pen
        # is.
        pen = [x + font_px.getlength(text[:count]) / self.scale for count in range(len(text) + 1)]
        glyphs = [
            Glyph(character, (left + right) / 2, y)
            for character, (left, right) in zip(text, pairwise(pen), strict=True)
        ]
        self.glyphs += [glyph for glyph in glyphs if glyph.character != " "]
        return tuple(glyphs)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        """Fill a rectangle."""
        self._draw.rectangle([self._at(x0, y0), self._at(x1, y1)], fill=fill)

    def shape(self, kind: str, x: float, y: float, radius: float, fill: Colour) -> None:
        """Fill a circle, square or upright triangle of half-width `radius` around (x, y), and remember its
        edge.
        """
        mark = EDGE_KINDS.index(kind) + 1
        corners = [(x - radius, y - radius), (x + radius, y + radius)]
        scaled = [self._at(*corner) for corner in corners]
        match kind:
            case "circle":
                self._draw.ellipse(scaled, fill=fill)
                self._draw_edges.ellipse(corners, outline=mark)
            case "square":
                self._draw.rectangle(scaled, fill=fill)
                self._draw_edges.rectangle(corners, outline=mark)
            case _:
                tops = [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)]
                self._draw.polygon([self._at(*top) for top in tops], fill=fill)
                self._draw_edges.polygon(tops, outline=mark)

    def crop(self) -> Crops:
        """What the server hands the model: (336, 336, 3) uint8."""
        return seen(self.picture)

    def edge_patches(self) -> NDArray[np.int64]:
        """For each patch (24, 24): 0, or which kind of shape has its edge there, from 1."""
        side = CROP_SIDE // PATCH
        edges = np.asarray(self._edges, np.int64).reshape(side, PATCH, side, PATCH)
        kinds: NDArray[np.int64] = edges.max(axis=(1, 3))
        return kinds

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.left) * self.scale, (y - self.top) * self.scale


def clear_of_borders(y: float) -> float:
    """The nearest place to y for a line's middle."""
    row = y // PATCH
    return min(max(y, row * PATCH + CLEARANCE), (row + 1) * PATCH - CLEARANCE)


def seen(picture: Image.Image) -> Crops:
    """A picture as the model sees it cut into one crop: (336, 336, 3) uint8."""
    crop: Crops = cut_crops(np.array(picture.convert("RGB")), plan_crops(*picture.size, 1))[0]
    return crop


def random_size(rng: random.Random, aspect: float) -> tuple[int, int]:
    """A picture size of about this ratio of width to height; half of them need no scaling."""
    long = CROP_SIDE if rng.random() < 0.5 else rng.randint(280, 720)
    return (long, max(8, round(long / aspect))) if aspect >= 1 else (max(8, round(long * aspect)), long)


def fit_size(
    text: str, font: int, width: float, smallest: float, largest: float, rng: random.Random
) -> float | None:
    """A random font size at which the text takes at most `width`, or None where even the smallest does not
    fit.
    """
    fitting = width / width_em(font, text)
    return None if fitting < smallest else rng.uniform(smallest, min(largest, fitting))
