"""Shapes are where and what the answers say."""

import re

import numpy as np

from demo.canvas import EDGE_KINDS
from demo.palette import COLOURS
from demo.scene import Seen, text_of
from demo.shapes import PLACES, article, background_of, told_shapes
from drawings import scenes

SHAPES = scenes("shapes", count=40)


def colour_name(pixel: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> str:
    return min(COLOURS, key=lambda name: float(np.abs(pixel.astype(int) - COLOURS[name]).sum()))


def test_each_shape_is_where_it_is_said_to_be() -> None:
    """At its place the picture has its colour; the place lies in the ninth that is named; shapes are in
    reading order.
    """
    for scene in SHAPES:
        canvas, crop = scene.canvas, scene.canvas.crop()
        ninths = []
        for seen in (part for part in scene.exchanges[0].answer if isinstance(part, Seen)):
            said = re.fullmatch(r" an? (\w+) (\w+) at the (.+)", seen.text)
            assert said is not None
            assert colour_name(crop[int(seen.y), int(seen.x)]) == said[1]
            column, row = (
                (seen.x - canvas.left) * 3 // canvas.width,
                (seen.y - canvas.top) * 3 // canvas.height,
            )
            assert said[3] == PLACES[int(row * 3 + column)]
            ninths.append(row * 3 + column)
        assert ninths == sorted(ninths)


def test_kinds() -> None:
    """The kinds named are those whose edges the picture has."""
    for scene in SHAPES:
        named = {kind for kind in EDGE_KINDS if f" {kind} " in text_of(scene.exchanges[0].answer)}
        edges = {EDGE_KINDS[mark - 1] for mark in np.unique(scene.canvas.edge_patches()) if mark}
        assert named == edges


def test_count_and_background() -> None:
    """The other two answers agree with the first, and with the picture's own background."""
    for scene in SHAPES:
        whole, count, background = (text_of(exchange.answer) for exchange in scene.exchanges)
        shapes = sum(isinstance(part, Seen) for part in scene.exchanges[0].answer)
        assert (
            count
            == f"There {['is one shape', 'are two shapes', 'are three shapes'][shapes - 1]} in the picture."
        )
        name = colour_name(np.array(scene.canvas.background, np.uint8))
        assert background == f"The background is {name}."
        assert whole.endswith(f" on {article(name)} {name} background.")
        described = whole.removeprefix("The picture shows ").partition(" on a")[0]
        assert text_of(scene.description) == (described if shapes == 1 else f"{count.split()[2]} shapes")


def test_what_is_told_again() -> None:
    """Of shapes and background: what the answers say."""
    for scene in SHAPES:
        shapes = told_shapes(scene)
        seen = [part for part in scene.exchanges[0].answer if isinstance(part, Seen)]
        assert [shape.words for shape in shapes] == seen
        assert [
            f" {article(shape.colour)} {shape.colour} {shape.kind} at the {shape.place}" for shape in shapes
        ] == [part.text for part in seen]
        assert text_of(scene.exchanges[2].answer) == f"The background is {background_of(scene)}."


def test_articles() -> None:
    """Before a vowel it is "an"."""
    assert [article(name) for name in ("orange", "red")] == ["an", "a"]
