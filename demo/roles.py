"""What training asks of blocks and of answers: which text of the picture this is, and how much of it stands
before.

A block tells it of the glyphs it holds, an answer of the character it spells next: where both agree, there is
the place to read.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from demo.decoder import BLOCKS
from demo.reader import IGNORED
from demo.scene import Copied, Scene
from phiserve.checkpoint.demo_tower import PATCH

TEXTS, PICTURES = 15, 2
"""How many texts a picture may have, and a prompt pictures."""

ROLES = 1 + PICTURES * TEXTS
"""No text, then the texts of each picture in the order in which its fullest answer names them."""

ORDINALS = 32

Spelled = dict[tuple[float, float], tuple[int, int]]


def spelled(scenes: Sequence[Scene]) -> Spelled:
    """Where a glyph stands -> the role of its text, and its number in it; of all pictures of a prompt."""
    found: Spelled = {}
    for picture, scene in enumerate(scenes):
        for role, text in enumerate(_texts(scene), 1 + picture * TEXTS):
            found |= {
                (glyph.x, glyph.y): (role, ordinal) for ordinal, glyph in enumerate(text.glyphs) if glyph
            }
    return found


def block_roles(scene: Scene, picture: int = 0) -> NDArray[np.int64]:
    """(12, 12, 2): of each block its role, and the number in its text of the first glyph it holds, or
    IGNORED.

    Blocks that hold glyphs of several texts, as where lines are close, are IGNORED altogether. `picture`: its
    number in a prompt.
    """
    labels = np.stack([np.zeros((BLOCKS, BLOCKS), np.int64), np.full((BLOCKS, BLOCKS), IGNORED)], -1)
    for role, text in enumerate(_texts(scene), 1 + picture * TEXTS):
        for ordinal, glyph in enumerate(text.glyphs):
            if glyph is None:
                continue
            block = min(BLOCKS - 1, int(glyph.y // (2 * PATCH))), min(BLOCKS - 1, int(glyph.x // (2 * PATCH)))
            if labels[block][0] == 0:
                labels[block] = role, ordinal
            elif labels[block][0] != role:
                labels[block] = IGNORED
    return labels


def _texts(scene: Scene) -> list[Copied]:
    return [segment for segment in scene.exchanges[0].answer if isinstance(segment, Copied)]
