"""Questions about what a text alone tells, whose answer is one of some options: to find the option that
matches, and to give its letter, is easier where nothing has to be seen.
"""

import random
from collections.abc import Iterator
from itertools import chain, product

from demo import posed_shapes
from demo.canvas import EDGE_KINDS
from demo.chart import NUMBERS
from demo.palette import COLOURS
from demo.posed import Posed, choice, either, predicate, score
from demo.posed_shapes import DIGITS, LEVELS, Arrangement, Shape, named
from demo.shapes import BACKGROUNDS, PLACES
from demo.words import CHART_LABELS, draw_word
from phiserve.decisions.questions import Kind

_SAYS = ("The answer is {}.", "It is {}.", "The {noise} is {}.", "I see {}. {noise}")
_WHAT = ("What is it?", "What is the answer?", "Which of these is it?", "What does the text say?")
_IS_IT = ("Is it {}?", "Is the answer {}?")
_HOW_MANY = ("How many are there?", "How many do you see?", "What is the number?")
_THERE_ARE = ("There are {} {}.", "I see {} {}.")

_POOLS = (tuple(COLOURS), EDGE_KINDS, PLACES, NUMBERS[1:], DIGITS, CHART_LABELS)
_WORDS = {word.lower() for option in chain(*_POOLS, LEVELS) for word in option.split()}


def posed_simply(rng: random.Random, kind: Kind) -> tuple[str, Posed]:
    """A text that says one thing, and a question of this kind for it."""
    if kind == "score":
        count = rng.randrange(len(LEVELS))
        told = rng.choice((LEVELS, ("no", *LEVELS[1:])))[count]
        text = rng.choice(_THERE_ARE).format(told, _meaningless(rng))
        return text, score(_HOW_MANY, LEVELS, count)
    pool = rng.choice(_POOLS)
    word = rng.choice(pool)
    text = rng.choice(_SAYS).format(word, noise=_meaningless(rng))
    if kind == "choice":
        return text, choice(_WHAT, pool, word)
    asked, is_true = either(rng, (word,), pool)
    return text, predicate([wording.format(asked) for wording in _IS_IT], is_true)


def _meaningless(rng: random.Random) -> str:
    """A word that is no option."""
    while (word := draw_word(rng, held_out=False)) in _WORDS:
        pass
    return word


def posed_of_shapes(rng: random.Random, kind: Kind) -> tuple[str, Posed]:
    """A description of shapes, and a question of this kind about them, as of a picture."""
    shown = imagined(rng)
    poses = {
        "predicate": posed_shapes.PREDICATES,
        "choice": posed_shapes.CHOICES,
        "score": posed_shapes.SCORES,
    }
    return description(shown), rng.choice(poses[kind])(rng, shown)


def imagined(rng: random.Random) -> Arrangement:
    """Shapes that might be drawn."""
    background = rng.choice(BACKGROUNDS)
    places = sorted(rng.sample(range(len(PLACES)), rng.randint(1, 3)))
    colours = [colour for colour in COLOURS if colour != background]
    shapes = (Shape(rng.choice(colours), rng.choice(EDGE_KINDS), PLACES[place]) for place in places)
    return Arrangement(tuple(shapes), background)


def description(shown: Arrangement) -> str:
    """What the model would say of such a picture."""
    *others, last = (f"{named(shape.colour, shape.kind)} at the {shape.place}" for shape in shown.shapes)
    told = f"{', '.join(others)} and {last}" if others else last
    background = named(shown.background, "background")
    return f"The picture shows {told} on {background}."


def every_text() -> Iterator[str]:
    """Every text, with enough of what may stand in it that all its tokens are there."""
    for word in chain(*_POOLS):
        yield from (text.format(word, noise="") for text in _SAYS)
    for level in ("no", *LEVELS):
        yield from (text.format(level, "") for text in _THERE_ARE)
    for background, place in product(BACKGROUNDS, PLACES):
        shapes = (Shape(colour, kind, place) for colour, kind in product(COLOURS, EDGE_KINDS))
        yield description(Arrangement(tuple(shapes), background))


def every_wording() -> Iterator[str]:
    """Every wording, with enough of what may stand in it that all its tokens are there."""
    for word in chain(*_POOLS):
        yield from (wording.format(word) for wording in _IS_IT)
    yield from chain(_WHAT, _HOW_MANY)
