"""One to three shapes on a plain background."""

import random
import re
from dataclasses import dataclass

from demo.book import DESCRIBE
from demo.canvas import EDGE_KINDS, Canvas, random_size
from demo.palette import COLOURS, varied
from demo.scene import Exchange, Literal, Scene, Seen, Segment, text_of
from demo.style import Style

QUESTIONS = (
    *DESCRIBE,
    "Describe the shapes.",
    "Which shapes are in this picture?",
    "What shapes do you see?",
)
COUNT = ("How many shapes are in this picture?", "How many shapes are there?", "How many shapes do you see?")
BACKGROUND = (
    "What color is the background?",
    "What is the color of the background?",
    "What is the background color?",
)
PLACES = (
    *("top left", "top center", "top right"),
    *("middle left", "center", "middle right"),
    *("bottom left", "bottom center", "bottom right"),
)
BACKGROUNDS = ("white", "white", "black", "gray", "yellow", "pink", "blue", "green")
NUMBERS = ("no", "one", "two", "three")

_TOLD = re.compile(r" an? (\w+) (\w+) at the (.+)")


@dataclass(frozen=True, slots=True)
class Told:
    """What a description of a picture tells of a shape, and the words that tell it."""

    colour: str
    kind: str
    place: str
    words: Seen


def told_shapes(scene: Scene) -> tuple[Told, ...]:
    """All shapes of a picture of shapes."""
    seen = (part for part in scene.exchanges[0].answer if isinstance(part, Seen))
    return tuple(
        Told(match[1], match[2], match[3], part) for part in seen if (match := _TOLD.fullmatch(part.text))
    )


def background_of(scene: Scene) -> str:
    """The colour's name, of a picture of shapes."""
    return text_of(scene.exchanges[2].answer).removesuffix(".").rpartition(" ")[2]


def article(word: str) -> str:
    """The article before a word."""
    return "an" if word[0] in "aeiou" else "a"


def draw_shapes(rng: random.Random, style: Style) -> Scene:
    """One to three shapes in different ninths of the picture, in reading order."""
    aspect = rng.choice([1.0, rng.uniform(0.7, 1.45)])
    background = rng.choice(BACKGROUNDS)
    canvas = Canvas(random_size(rng, aspect), varied(COLOURS[background], rng, 6))
    count = rng.randint(1, 3)
    segments: list[Segment] = [Literal(" The picture shows")]
    for number, ninth in enumerate(sorted(rng.sample(range(9), count))):
        if number:
            segments.append(Literal(" and" if number == count - 1 else ","))
        segments.append(_draw_shape(canvas, ninth, background, rng))
    answer = (*segments, Literal(f" on {article(background)} {background} background."))
    number_of = "is one shape" if count == 1 else f"are {NUMBERS[count]} shapes"
    exchanges = (
        Exchange(QUESTIONS, answer),
        Exchange(COUNT, (Literal(f" There {number_of} in the picture."),)),
        Exchange(BACKGROUND, (Literal(f" The background is {background}."),)),
    )
    named = answer[1:2] if count == 1 else (Literal(f" {NUMBERS[count]} shapes"),)
    return Scene("shapes", canvas, exchanges, named)


def _draw_shape(canvas: Canvas, ninth: int, background: str, rng: random.Random) -> Seen:
    row, column = divmod(ninth, 3)
    colour = rng.choice([name for name in COLOURS if name != background])
    kind = rng.choice(EDGE_KINDS)
    width, height = canvas.width / 3, canvas.height / 3
    radius = min(width, height) * rng.uniform(0.28, 0.46)
    x = canvas.left + width * (column + 0.5) + rng.uniform(-0.8, 0.8) * (width / 2 - radius)
    y = canvas.top + height * (row + 0.5) + rng.uniform(-0.8, 0.8) * (height / 2 - radius)
    canvas.shape(kind, x, y, radius, varied(COLOURS[colour], rng, 6))
    return Seen(f" {article(colour)} {colour} {kind} at the {PLACES[ninth]}", x, y)
