"""Blocks know which text they belong to, and where in it they stand."""

from demo.canvas import Canvas, Glyph
from demo.reader import IGNORED
from demo.roles import ORDINALS, ROLES, block_roles
from demo.scene import Exchange, Literal, Reading, Scene
from drawings import KINDS, readings, scenes


def roles(*texts: Reading) -> list[list[list[int]]]:
    canvas = Canvas((336, 336), (255, 255, 255))
    scene = Scene("line", canvas, (Exchange(("?",), (Literal(" It says"), *texts)),), ())
    return [[[int(value) for value in block] for block in row] for row in block_roles(scene)]


def test_role_and_ordinal() -> None:
    """The role is the text's number in the answer, the ordinal that of the first glyph in the block, spaces counted."""
    first = Reading("ab c", (Glyph("a", 1, 1), Glyph("b", 12, 1), None, Glyph("c", 30, 1)))
    second = Reading(" d", (None, Glyph("d", 335.9, 335.9)))
    found = roles(first, second)
    assert found[0][:3] == [[1, 0], [1, 3], [0, IGNORED]]
    assert found[11][11] == [2, 1]
    assert sum(block[0] != 0 for row in found for block in row) == 3


def test_where_texts_meet() -> None:
    """A block of two texts is asked for nothing, and a third text in it changes nothing."""
    texts = [Reading(character, (Glyph(character, 5, 5),)) for character in "abc"]
    assert roles(*texts)[0][0] == [IGNORED, IGNORED]


def test_all_fit() -> None:
    """No picture has more texts, and no text more characters, than there are roles and ordinals; the more so its blocks."""
    for kind in KINDS:
        for scene in scenes(kind):
            texts = readings(scene.exchanges[0])
            assert len(texts) < ROLES
            assert all(len(text.text) <= ORDINALS for text in texts)
            found = block_roles(scene)
            assert {*found[..., 0].ravel().tolist()} <= {IGNORED, *range(len(texts) + 1)}
