"""What a picture comes with agrees with what was drawn, whatever its kind."""

from itertools import pairwise

import pytest

from demo.canvas import Glyph
from demo.scene import Literal, Seen, copied, text_of
from drawings import KINDS, readings, scenes


@pytest.mark.parametrize("kind", KINDS)
def test_readings_spell_their_glyphs(kind: str) -> None:
    """In every answer, what is read off the picture is its glyphs' characters in order, and spaces have no
    place.
    """
    for scene in scenes(kind):
        for exchange in scene.exchanges:
            for read in readings(exchange):
                spelt = "".join(glyph.character if glyph else " " for glyph in read.glyphs)
                assert spelt == read.text


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_answer_reads_everything(kind: str) -> None:
    """Every glyph of a picture is read exactly once by its fullest answer."""
    for scene in scenes(kind):
        read = [glyph for text in readings(scene.exchanges[0]) for glyph in text.glyphs if glyph]
        assert sorted(map(id, read)) == sorted(map(id, scene.canvas.glyphs))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_in_the_picture(kind: str) -> None:
    """All that answers speak of stands within the frame, and no two glyphs stand in one place."""
    for scene in scenes(kind):
        canvas = scene.canvas
        seen = [part for exchange in scene.exchanges for part in exchange.answer if isinstance(part, Seen)]
        places = [(glyph.x, glyph.y) for glyph in canvas.glyphs] + [(shape.x, shape.y) for shape in seen]
        assert all(canvas.left <= x <= canvas.right and canvas.top <= y <= canvas.bottom for x, y in places)
        glyphs = sorted((glyph.x, glyph.y) for glyph in canvas.glyphs)
        near = [(a, b) for a, b in pairwise(glyphs) if abs(a[0] - b[0]) < 2 and abs(a[1] - b[1]) < 8]
        assert not near


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_sentences(kind: str) -> None:
    """Answers begin with a capital after one space, end with a full stop, and hold no two spaces together."""
    for scene in scenes(kind):
        for exchange in scene.exchanges:
            joined = "".join(part.text for part in exchange.answer)
            assert joined == " " + text_of(exchange.answer)
            assert joined[1].isupper()
            assert joined.endswith(".")
            assert "  " not in joined


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_has_one_answer(kind: str) -> None:
    """No wording asks for two different things of the same picture."""
    for scene in scenes(kind):
        wordings = [wording for exchange in scene.exchanges for wording in exchange.questions]
        assert len(wordings) == len(set(wordings))


def test_lines_are_joined_by_spaces() -> None:
    """Lines of glyphs make one text, with the space it may begin with."""
    a, b = Glyph("a", 1, 1), Glyph("b", 2, 2)
    assert copied(" a b", [[a], [b]]).glyphs == (None, a, None, b)
    assert copied("a b", [[a, Glyph(" ", 0, 0), b]]).glyphs == (a, None, b)
    with pytest.raises(ValueError, match="1 glyphs for the 2 characters of 'ab'"):
        copied("ab", [[a]])


def test_text_of() -> None:
    """The text of an answer is that of its parts, without the first space."""
    assert text_of((Literal(" It says "), Seen(" x", 0, 0), Literal("."))) == "It says  x."
