"""Drawn scenes for the tests of `demo`: always the same ones."""

import random
from collections.abc import Iterator
from functools import lru_cache

from demo.kinds import DRAW
from demo.scene import Copied, Exchange, Scene
from demo.style import four_fonts, one_font

KINDS = tuple(DRAW)
"""Kinds of images."""


@lru_cache
def scenes(kind: str, *, held_out: bool = False, count: int = 16) -> tuple[Scene, ...]:
    """Scenes of a kind, half of them in one font, half in any."""
    styles = one_font(held_out=held_out), four_fonts(held_out=held_out)
    return tuple(DRAW[kind](random.Random(f"{kind}/{number}"), styles[number % 2]) for number in range(count))


def readings(exchange: Exchange) -> list[Copied]:
    """The texts that an answer reads off the image, in its order."""
    return [segment for segment in exchange.answer if isinstance(segment, Copied)]


def words(scene: Scene) -> Iterator[str]:
    """The words and numbers written in an image."""
    for read in readings(scene.exchanges[0]):
        yield from read.text.split()
