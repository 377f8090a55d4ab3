"""Book covers say their title above their author."""

from itertools import pairwise

from demo.book import AUTHOR, BOTH, DESCRIBE, TITLE
from demo.scene import text_of
from drawings import readings, scenes

BOOKS = scenes("book", count=40)


def test_four_questions() -> None:
    """Each answer names title and author as the first does."""
    for scene in BOOKS:
        both, title, author, described = scene.exchanges
        assert (both.questions, title.questions, author.questions, described.questions) == (
            BOTH,
            TITLE,
            AUTHOR,
            DESCRIBE,
        )
        name, writer = (read.text.strip() for read in readings(both))
        assert text_of(both.answer) == f'The title of the book is "{name}" and the author is {writer}.'
        assert text_of(title.answer) == f'The title is "{name}".'
        assert text_of(author.answer) == f"The author is {writer}."
        assert text_of(described.answer) == f'The picture shows a book titled "{name}" by {writer}.'
        assert text_of(scene.description) == f'a book titled "{name}"'


def test_the_author_stands_below() -> None:
    """By a line at least."""
    for scene in BOOKS:
        title, author = readings(scene.exchanges[0])
        lowest = max(glyph.y for glyph in title.glyphs if glyph)
        assert min(glyph.y for glyph in author.glyphs if glyph) > lowest + 17


def test_lines_do_not_touch() -> None:
    """Lines of text are a patch or more apart, so that each reads by itself."""
    for scene in BOOKS:
        lines = sorted({glyph.y for glyph in scene.canvas.glyphs})
        assert all(below - above > 17 for above, below in pairwise(lines))


def test_authors_have_two_names() -> None:
    """A first name and a last one, capitalised; titles have one or two words."""
    for scene in BOOKS:
        title, author = (read.text.split() for read in readings(scene.exchanges[0]))
        assert [name[0].isupper() and name[1:].islower() for name in author] == [True, True]
        assert len(title) in (1, 2)
