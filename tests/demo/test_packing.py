"""What is packed is what the server would hand the engine."""

import random

import numpy as np
import pytest

from demo import packing
from demo.decoder import IMAGE_TOKENS
from demo.kinds import DRAW
from demo.language import branch, user
from demo.packing import Pack, batch_of, common_beginning, to_rows
from demo.reader import IGNORED
from demo.scene import Literal
from demo.style import four_fonts
from demo.vocabulary import trained_ids
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.special_tokens import Control
from phiserve.core import Conversation


@pytest.mark.parametrize("pictures", [0, 1, 2])
def test_prompts_are_the_server_s(
    pictures: int, encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefix and branch together are the ids that the server hands the engine for the same conversation."""
    monkeypatch.setattr(packing, "_FORGOTTEN", 0)
    rng = random.Random(0)
    scenes = tuple(DRAW[kind](rng, four_fonts()) for kind in ("book", "chart")[:pictures])
    turns = (user("What is this?", pictures=pictures),)
    made = branch(turns, (Literal(" It is a book."),))
    batch = batch_of([Pack(scenes, [made])], turns if pictures else None, 64, rng)
    served = encoder.encode(Conversation(turns)).ids([IMAGE_TOKENS] * pictures)
    rows = np.concatenate([batch.prefix_rows[0], batch.region_rows[0]])[: len(served)]
    np.testing.assert_array_equal(rows, to_rows(served))
    answer = batch.targets[0][batch.targets[0] != IGNORED]
    np.testing.assert_array_equal(answer, to_rows(made.answer))


def test_unknown_tokens_share_a_row() -> None:
    """A token that is not trained has the row of zeros."""
    unknown = next(token for token in range(5000, 32000) if token not in trained_ids())
    assert to_rows([unknown, Control.END]).tolist() == [len(trained_ids()), trained_ids().index(Control.END)]


def test_what_prompts_begin_with() -> None:
    """All but the last token of the shortest at most, which the answer follows."""
    assert common_beginning([(1, 2, 3), (1, 2, 4, 5)]) == (1, 2)
    assert common_beginning([(1, 2, 3), (1, 2, 3)]) == (1, 2)
    assert common_beginning([(1, 2), (1, 2, 3)]) == (1,)
