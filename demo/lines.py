"""A short line of text or a number, anywhere in the picture; and pages full of text, for the vision tower
alone.
"""

import random

from demo.book import DESCRIBE
from demo.canvas import Canvas, fit_size, random_size
from demo.fonts import width_em
from demo.palette import text_colours
from demo.scene import Exchange, Literal, Scene, copied
from demo.style import Style
from demo.words import draw_word

QUESTIONS = (
    "What does it say?",
    "What does this say?",
    "What does the text say?",
    "What is written here?",
    "Please read the text in this image.",
    "Read the text.",
    "Read this.",
    "What number is this?",
    "Which word is this?",
)
_MARGIN = 0.94


def draw_line(rng: random.Random, style: Style) -> Scene:
    """One to three words or numbers on a line."""
    while True:
        background, ink = text_colours(rng)
        canvas = Canvas(random_size(rng, rng.choice([1.0, rng.uniform(0.7, 3.0)])), background)
        font = style.font(rng)
        text = " ".join(_token(rng, style) for _ in range(rng.choice([1, 1, 2, 2, 3])))
        size = fit_size(text, font, canvas.width * _MARGIN, style.smallest, style.largest, rng)
        if size and len(text) <= 22 and canvas.height > size * 1.3:
            break
    x = canvas.left + rng.uniform(2, max(2, canvas.width - width_em(font, text) * size - 2))
    y = rng.uniform(canvas.top + size * 0.6, canvas.bottom - size * 0.6)
    read = copied(text, [canvas.text(x, y, text, size, ink, font)])
    exchanges = (
        Exchange(QUESTIONS, (Literal(' It says "'), read, Literal('".'))),
        Exchange(DESCRIBE, (Literal(' The picture shows the text "'), read, Literal('".'))),
    )
    return Scene("line", canvas, exchanges, (Literal(' the text "'), read, Literal('"')))


def draw_page(rng: random.Random, style: Style) -> Canvas:
    """A picture full of text, each line of a font and size of its own."""
    background, ink = text_colours(rng)
    canvas = Canvas(random_size(rng, rng.choice([1.0, rng.uniform(0.65, 1.5)])), background)
    y = canvas.top + rng.uniform(0, 12)
    while True:
        font, size = (
            style.font(rng),
            rng.uniform(style.smallest, min(style.largest, 30 if rng.random() < 0.7 else 99)),
        )
        y += size * 0.6
        if y > canvas.bottom - size * 0.5:
            return canvas
        x, text = canvas.left + rng.uniform(0, 24), ""
        while x + width_em(font, longer := f"{text} {_token(rng, style)}".strip()) * size < canvas.right:
            text = longer
        canvas.text(x, y, text, size, ink, font)
        y += size * rng.uniform(0.5, 0.8)


def _token(rng: random.Random, style: Style) -> str:
    if rng.random() < 0.25:
        return str(rng.randint(0, 10 ** rng.randint(1, 5)))
    word = draw_word(rng, style.held_out)
    return rng.choice([word.upper(), word.upper(), word.capitalize(), word.capitalize(), word])
