"""Short lines, and pages full of text."""

import random
from itertools import pairwise

import numpy as np

from demo.book import DESCRIBE
from demo.lines import QUESTIONS, draw_page
from demo.reader import GLYPH_LABELS, patch_labels
from demo.scene import text_of
from demo.style import four_fonts
from drawings import readings, scenes

PAGES = [draw_page(random.Random(f"page/{number}"), four_fonts()) for number in range(12)]


def test_a_line_is_read_whole() -> None:
    """One to three words or numbers, of at most 22 characters, on one line."""
    for scene in scenes("line", count=40):
        exchange, described = scene.exchanges
        (read,) = readings(exchange)
        assert exchange.questions == QUESTIONS
        assert text_of(exchange.answer) == f'It says "{read.text}".'
        assert (described.questions, text_of(described.answer)) == (
            DESCRIBE,
            f'The picture shows the text "{read.text}".',
        )
        assert text_of(scene.description) == f'the text "{read.text}"'
        assert len(read.text) <= 22
        assert 1 <= len(read.text.split()) <= 3
        assert len({glyph.y for glyph in scene.canvas.glyphs}) == 1


def test_numbers_and_words_in_all_spellings() -> None:
    """There are numbers, capitals, capitalised and lower-case words."""
    drawn = [
        word for scene in scenes("line", count=40) for word in readings(scene.exchanges[0])[0].text.split()
    ]
    for kind in (str.isdigit, str.isupper, str.istitle, str.islower):
        assert sum(map(kind, drawn)) > 2


def test_pages_are_full() -> None:
    """A page's lines reach from top to bottom and lie apart; its glyphs are in the frame."""
    for canvas in PAGES:
        lines = sorted({glyph.y for glyph in canvas.glyphs})
        assert all(below - above > 16 for above, below in pairwise(lines))
        assert lines[0] - canvas.top < 40
        assert canvas.bottom - lines[-1] < 80
        assert all(canvas.left < glyph.x < canvas.right for glyph in canvas.glyphs)
    assert np.mean([len(canvas.glyphs) for canvas in PAGES]) > 70


def test_pages_show_every_glyph() -> None:
    """Few pages are needed until the tower has seen nearly every glyph."""
    shown = np.unique(np.concatenate([patch_labels(canvas)[..., GLYPH_LABELS].ravel() for canvas in PAGES]))
    assert (shown > 0).sum() > 55
