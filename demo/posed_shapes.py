"""Questions about shapes, drawn or told in words, whose answer is one of some options."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, product

from demo.canvas import EDGE_KINDS
from demo.chart import NUMBERS
from demo.palette import COLOURS
from demo.posed import Posed, choice, either, predicate, score
from demo.scene import Scene
from demo.shapes import BACKGROUND, COUNT, PLACES, article, background_of, told_shapes

THERE = ("Is there {}?", "Is there {} in this picture?", "Do you see {}?", "Can you see {}?")
_ON = ("Is the background {}?", "Is the color of the background {}?")
_IS = ("Is {} {}?", "Is the color of {} {}?")
_COLOUR = ("What color is {}?", "What is the color of {}?", "Which color is {}?")
_KIND = ("What is {}?", "Which shape is {}?", "What kind of shape is {}?")
_WHERE = ("Where is {}?", "Where do you see {}?")
_WHICH = ("Which of these is in this picture?", "What is in this picture?", "What do you see?")
_HOW_MANY = ("How many {} shapes are there?", "How many {} shapes do you see?")

LEVELS = ("none", "one", "two", "three")
DIGITS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape by names of its colour, kind and place."""

    colour: str
    kind: str
    place: str


@dataclass(frozen=True, slots=True)
class Arrangement:
    """One to three shapes on a background."""

    shapes: tuple[Shape, ...]
    background: str

    def only(self) -> list[tuple[str, Shape]]:
        """Names by which one shape alone is meant, without those by its colour."""
        kinds = [shape.kind for shape in self.shapes]
        names = [(f"the shape at the {shape.place}", shape) for shape in self.shapes]
        names += [(f"the {shape.kind}", shape) for shape in self.shapes if kinds.count(shape.kind) == 1]
        return [*names, *([("this shape", self.shapes[0])] * (len(kinds) == 1))]


def arrangement_of(scene: Scene) -> Arrangement:
    """What a picture of shapes shows."""
    shapes = (Shape(shape.colour, shape.kind, shape.place) for shape in told_shapes(scene))
    return Arrangement(tuple(shapes), background_of(scene))


Pose = Callable[[random.Random, Arrangement], Posed]


def _has_colour(rng: random.Random, shown: Arrangement) -> Posed:
    colour, is_true = either(rng, {shape.colour: None for shape in shown.shapes}, COLOURS)
    return predicate(_asking(THERE, f"{article(colour)} {colour} shape"), is_true)


def _has_kind(rng: random.Random, shown: Arrangement) -> Posed:
    kind, is_true = either(rng, {shape.kind: None for shape in shown.shapes}, EDGE_KINDS)
    return predicate(_asking(THERE, f"a {kind}"), is_true)


def _has_both(rng: random.Random, shown: Arrangement) -> Posed:
    """Where there is none such, mostly a shape of this colour or kind is there."""
    true = {named(shape.colour, shape.kind): None for shape in shown.shapes}
    shape = rng.choice(shown.shapes)
    near = [named(colour, shape.kind) for colour in COLOURS]
    near += [named(shape.colour, kind) for kind in EDGE_KINDS] * 4
    thing, is_true = either(rng, true, near)
    return predicate(_asking(THERE, thing), is_true)


def _has_place(rng: random.Random, shown: Arrangement) -> Posed:
    place, is_true = either(rng, {shape.place: None for shape in shown.shapes}, PLACES)
    return predicate(_asking(THERE, f"a shape at the {place}"), is_true)


def _is_background(rng: random.Random, shown: Arrangement) -> Posed:
    colour, is_true = either(rng, (shown.background,), COLOURS)
    return predicate(_asking(_ON, colour), is_true)


def _is_colour(rng: random.Random, shown: Arrangement) -> Posed:
    name, shape = rng.choice(shown.only())
    colour, is_true = either(rng, (shape.colour,), COLOURS)
    return predicate(_asking(_IS, name, colour), is_true)


def _background(_rng: random.Random, shown: Arrangement) -> Posed:
    return choice(BACKGROUND, COLOURS, shown.background)


def _colour(rng: random.Random, shown: Arrangement) -> Posed:
    name, shape = rng.choice(shown.only())
    return choice(_asking(_COLOUR, name), COLOURS, shape.colour)


def _kind(rng: random.Random, shown: Arrangement) -> Posed:
    colours = [shape.colour for shape in shown.shapes]
    names = [(name, shape) for name, shape in shown.only() if shape.kind not in name]
    names += [(shape.colour, shape) for shape in shown.shapes if colours.count(shape.colour) == 1]
    name, shape = rng.choice(names)
    return choice(_asking(_KIND[1:] if name in COLOURS else _KIND, name), EDGE_KINDS, shape.kind)


def _place(rng: random.Random, shown: Arrangement) -> Posed:
    colours = [shape.colour for shape in shown.shapes]
    names = [(name, shape) for name, shape in shown.only() if shape.place not in name]
    names += [(f"the {one.colour} shape", one) for one in shown.shapes if colours.count(one.colour) == 1]
    if not names:
        return _colour(rng, shown)
    name, shape = rng.choice(names)
    return choice(_asking(_WHERE, name), PLACES, shape.place)


def _which(rng: random.Random, shown: Arrangement) -> Posed:
    there = {named(shape.colour, shape.kind) for shape in shown.shapes}
    right = rng.choice(sorted(there))
    return choice(_WHICH, [one for one in every_named() if one == right or one not in there], right)


def _number(rng: random.Random, shown: Arrangement) -> Posed:
    options = rng.choice((NUMBERS[1:], DIGITS))
    return choice(COUNT, options, options[len(shown.shapes) - 1])


def _how_many(_rng: random.Random, shown: Arrangement) -> Posed:
    return score(COUNT, LEVELS, len(shown.shapes))


def _how_many_of(rng: random.Random, shown: Arrangement) -> Posed:
    colours = [shape.colour for shape in shown.shapes]
    colour, _ = either(rng, colours, COLOURS)
    return score(_asking(_HOW_MANY, colour), LEVELS, colours.count(colour))


PREDICATES: tuple[Pose, ...] = (_has_colour, _has_kind, _has_both, _has_place, _is_background, _is_colour)
CHOICES: tuple[Pose, ...] = (_background, _colour, _colour, _kind, _place, _which, _number)
SCORES: tuple[Pose, ...] = (_how_many, _how_many_of)


def named(colour: str, kind: str) -> str:
    """A shape, with its article."""
    return f"{article(colour)} {colour} {kind}"


def every_named() -> list[str]:
    """All shapes of all colours."""
    return [named(colour, kind) for colour, kind in product(COLOURS, EDGE_KINDS)]


def every_wording() -> Iterator[str]:
    """Every wording, with enough of what may stand in it that all its tokens are there."""
    things = ["a shape at the top left", *every_named(), *(f"the {kind}" for kind in EDGE_KINDS)]
    for thing in things:
        yield from chain(_asking(THERE, thing), _asking(_COLOUR, thing), _asking(_KIND, thing))
        yield from chain(_asking(_WHERE, thing), _asking(_IS, thing, "red"))
    for colour in COLOURS:
        yield from chain(_asking(_ON, colour), _asking(_HOW_MANY, colour), _asking(_KIND[1:], colour))
    yield from chain(BACKGROUND, COUNT, _WHICH)


def every_option() -> Iterator[str]:
    """Every option."""
    yield from chain(COLOURS, EDGE_KINDS, PLACES, every_named(), NUMBERS[1:], DIGITS, LEVELS)


def _asking(wordings: Sequence[str], *things: str) -> tuple[str, ...]:
    return tuple(wording.format(*things) for wording in wordings)
