"""What training asks of blocks: to which text of the picture they belong, and how much of it stands before them."""

import numpy as np
from numpy.typing import NDArray

from demo.decoder import BLOCKS
from demo.reader import IGNORED
from demo.scene import Reading, Scene
from phiserve.checkpoint.demo_tower import PATCH

ROLES = 16
"""No text, then the texts of a picture in the order in which its fullest answer names them."""

ORDINALS = 32


def block_roles(scene: Scene) -> NDArray[np.int64]:
    """(12, 12, 2): of each block its role, and the number in its text of the first glyph it holds, or IGNORED.

    Blocks that hold glyphs of several texts, as where lines are close, are IGNORED altogether.
    """
    labels = np.stack([np.zeros((BLOCKS, BLOCKS), np.int64), np.full((BLOCKS, BLOCKS), IGNORED)], -1)
    texts = [segment for segment in scene.exchanges[0].answer if isinstance(segment, Reading)]
    for role, text in enumerate(texts, 1):
        for ordinal, glyph in enumerate(text.glyphs):
            if glyph is None:
                continue
            block = min(BLOCKS - 1, int(glyph.y // (2 * PATCH))), min(BLOCKS - 1, int(glyph.x // (2 * PATCH)))
            if labels[block][0] == 0:
                labels[block] = min(role, ROLES - 1), min(ordinal, ORDINALS - 1)
            elif labels[block][0] != role:
                labels[block] = IGNORED
    return labels
