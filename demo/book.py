"""Book covers: a title, an author, sometimes an ornament."""

import random
from dataclasses import dataclass

from demo.canvas import Canvas, Colour, Glyph, fit_size, random_size
from demo.fonts import width_em
from demo.palette import COLOURS, text_colours
from demo.scene import Copied, Exchange, Literal, Scene, copied
from demo.style import Style
from demo.words import draw_word

BOTH = (
    "Help me get the title and author information of this book?",
    "What is the title and author of this book?",
    "What are the title and the author of this book?",
    "Who wrote this book and what is its title?",
    "Please read the title and the author of this book.",
    "What book is this?",
    "Which book is this?",
    "Tell me the title and author of this book.",
    "Read this book cover.",
    "What does the cover say?",
)
TITLE = (
    "What is the title of this book?",
    "What is the title?",
    "What is the book called?",
    "Read the title.",
    "Tell me the title.",
)
AUTHOR = (
    "Who is the author of this book?",
    "Who wrote this book?",
    "Who is the author?",
    "Who wrote it?",
    "Tell me the author.",
)
DESCRIBE = (
    "What is in this picture?",
    "What is in this image?",
    "What's in this image?",
    "Describe this image.",
    "Describe the picture.",
    "What do you see?",
    "What do you see in this picture?",
    "What can you see in this image?",
    "Please describe the picture.",
    "What is the content of this image?",
    "What is shown in this picture?",
    "What is this?",
    "What does this picture show?",
)

_LEADING = 1.3
_LEAST_LEADING = 28
_MARGIN = 0.94


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines of one font and size."""

    lines: list[str]
    font: int
    size: float

    @property
    def leading(self) -> float:
        return max(_LEAST_LEADING, self.size * _LEADING)

    @property
    def height(self) -> float:
        return self.leading * (len(self.lines) - 1) + self.size

    def write(self, canvas: Canvas, y: float, ink: Colour, rng: random.Random) -> list[tuple[Glyph, ...]]:
        """Write the lines from the first one's centre at y down, centred or anywhere."""
        glyphs = []
        centred = rng.random() < 0.7
        for number, line in enumerate(self.lines):
            spare = canvas.width - width_em(self.font, line) * self.size
            x = canvas.left + (
                spare / 2 if centred else rng.uniform(min(2, spare / 2), max(spare - 2, spare / 2))
            )
            glyphs.append(canvas.text(x, y + number * self.leading, line, self.size, ink, self.font))
        return glyphs


def draw_book(rng: random.Random, style: Style) -> Scene:
    """A book cover and what can be asked of it."""
    title_words = [draw_word(rng, style.held_out) for _ in range(rng.choice([1, 1, 2]))]
    capitals = rng.random() < 0.7
    title_words = [word.upper() if capitals else word.capitalize() for word in title_words]
    names = [draw_word(rng, style.held_out).capitalize() for _ in range(2)]
    while True:
        aspect = rng.choice([1.0, rng.uniform(0.62, 0.9), rng.uniform(0.7, 1.3)])
        background, ink = text_colours(rng)
        canvas = Canvas(random_size(rng, aspect), background)
        title = _block(title_words, canvas, style, 1.0, rng)
        author = _block(names, canvas, style, 0.85, rng)
        if title is None or author is None:
            continue
        spare = canvas.height - title.height - author.height - 0.2 * (title.size + author.size)
        if spare > 16:
            break
    gap = rng.uniform(0.15, 0.9) * (spare - 8)
    first = canvas.top + title.size * 0.6 + rng.uniform(2, spare - gap - 4)
    title_lines = title.write(canvas, first, ink, rng)
    below = first + title.height - title.size / 2 + 0.1 * title.size
    if gap > 40 and rng.random() < 0.5:
        _ornament(canvas, below + gap / 2, ink, rng)
    author_lines = author.write(canvas, below + gap + author.size * 0.6, ink, rng)
    return _scene(
        canvas, copied(" ".join(title_words), title_lines), copied(" " + " ".join(names), author_lines)
    )


def _block(
    words: list[str], canvas: Canvas, style: Style, largest: float, rng: random.Random
) -> _Block | None:
    font = style.font(rng)
    joined = [" ".join(words)]
    for lines in (joined, words) if rng.random() < 0.6 else (words, joined):
        widest = max(lines, key=lambda line: width_em(font, line))
        if size := fit_size(
            widest, font, canvas.width * _MARGIN, style.smallest, style.largest * largest, rng
        ):
            return _Block(lines, font, size)
    return None


def _ornament(canvas: Canvas, y: float, ink: Colour, rng: random.Random) -> None:
    colour, x = rng.choice(list(COLOURS.values())), canvas.left + canvas.width / 2
    match rng.randrange(3):
        case 0:
            canvas.rectangle(x - canvas.width * 0.2, y - 12, x + canvas.width * 0.2, y + 12, colour)
        case 1:
            canvas.shape("circle", x, y, 14, colour)
        case _:
            canvas.rectangle(x - canvas.width * 0.4, y - 1, x + canvas.width * 0.4, y + 1, ink)


def _scene(canvas: Canvas, title: Copied, author: Copied) -> Scene:
    exchanges = (
        Exchange(
            BOTH,
            (
                Literal(' The title of the book is "'),
                title,
                Literal('" and the author is'),
                author,
                Literal("."),
            ),
        ),
        Exchange(TITLE, (Literal(' The title is "'), title, Literal('".'))),
        Exchange(AUTHOR, (Literal(" The author is"), author, Literal("."))),
        Exchange(
            DESCRIBE,
            (Literal(' The picture shows a book titled "'), title, Literal('" by'), author, Literal(".")),
        ),
    )
    return Scene("book", canvas, exchanges, (Literal(' a book titled "'), title, Literal('"')))
