"""Blocks know which text they belong to, and where in it they stand."""

from demo.canvas import Canvas, Glyph
from demo.reader import IGNORED
from demo.roles import ORDINALS, PICTURES, ROLES, TEXTS, block_roles, spelled
from demo.scene import Copied, Exchange, Literal, Scene
from drawings import KINDS, readings, scenes


def roles(*texts: Copied) -> list[list[list[int]]]:
    canvas = Canvas((336, 336), (255, 255, 255))
    scene = Scene("line", canvas, (Exchange(("?",), (Literal(" It says"), *texts)),), ())
    return [[[int(value) for value in block] for block in row] for row in block_roles(scene)]


def test_role_and_ordinal() -> None:
    """The role is the text's number in the answer, the ordinal that of the first glyph in the block, spaces
    counted.
    """
    first = Copied("ab c", (Glyph("a", 1, 1), Glyph("b", 12, 1), None, Glyph("c", 30, 1)))
    second = Copied(" d", (None, Glyph("d", 335.9, 335.9)))
    found = roles(first, second)
    assert found[0][:3] == [[1, 0], [1, 3], [0, IGNORED]]
    assert found[11][11] == [2, 1]
    assert sum(block[0] != 0 for row in found for block in row) == 3


def test_where_texts_meet() -> None:
    """A block of two texts is asked for nothing, and a third text in it changes nothing."""
    texts = [Copied(character, (Glyph(character, 5, 5),)) for character in "abc"]
    assert roles(*texts)[0][0] == [IGNORED, IGNORED]


def test_all_fit() -> None:
    """No picture has more texts, and no text more characters, than there are roles and ordinals; the more so
    its blocks.
    """
    for kind in KINDS:
        for scene in scenes(kind):
            texts = readings(scene.exchanges[0])
            assert len(texts) <= TEXTS
            assert all(len(text.text) <= ORDINALS for text in texts)
            for picture in range(PICTURES):
                first = 1 + picture * TEXTS
                found = {*block_roles(scene, picture)[..., 0].ravel().tolist()}
                assert found <= {IGNORED, 0, *range(first, first + len(texts))}
                assert max(found) < ROLES


def test_answers_and_blocks_agree() -> None:
    """The character that an answer spells next has the role of the block it stands in, and a number not below
    the block's.
    """
    for kind in KINDS:
        pair = scenes(kind)[:2]
        blocks = [block_roles(scene, picture) for picture, scene in enumerate(pair)]
        told = spelled(pair)
        for scene, roles_of in zip(pair, blocks, strict=True):
            for text in readings(scene.exchanges[0]):
                for glyph in filter(None, text.glyphs):
                    role, ordinal = told[glyph.x, glyph.y]
                    block = roles_of[min(11, int(glyph.y // 28)), min(11, int(glyph.x // 28))]
                    assert text.text[ordinal] == glyph.character
                    assert block[0] in (IGNORED, role)
                    assert block[1] <= ordinal
