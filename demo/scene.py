"""What a drawn picture comes with: questions and answers whose every word knows where in the picture it comes
from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from demo.canvas import Canvas, Glyph


@dataclass(frozen=True, slots=True)
class Literal:
    """Words that no place in the picture decides."""

    text: str


@dataclass(frozen=True, slots=True)
class Copied:
    """Characters copied from the picture one by one; None where a character (a space) has no place."""

    text: str
    glyphs: tuple[Glyph | None, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """Words about what stands at a place."""

    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Written:
    """Text in the tokenizer's own tokens, as calls of tools are told again in later turns: the first part of
    an answer, or what follows a letter. `place`: where what it tells stands, as x and y.
    """

    text: str
    place: tuple[float, float] | None = None


Segment = Literal | Copied | Seen | Written
Answer = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question in several wordings, and its answer."""

    questions: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn picture, exchanges about it, and how it is named in a comparison."""

    kind: str
    canvas: Canvas
    exchanges: tuple[Exchange, ...]
    description: Answer


def copied(text: str, lines: Sequence[Sequence[Glyph]]) -> Copied:
    """Text read from lines of glyphs, a space between them; `text` may begin with a space of its own."""
    glyphs: list[Glyph | None] = [None] if text.startswith(" ") else []
    for number, line in enumerate(lines):
        glyphs += [None] * bool(number)
        glyphs += [glyph if glyph.character != " " else None for glyph in line]
    if len(glyphs) != len(text):
        raise ValueError(f"{len(glyphs)} glyphs for the {len(text)} characters of {text!r}")
    return Copied(text, tuple(glyphs))


def text_of(answer: Answer) -> str:
    """An answer as a string, without the space it begins with."""
    return "".join(segment.text for segment in answer).strip()
