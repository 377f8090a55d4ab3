"""Packs with tools hold the server's own prompts and answers that follow them."""

import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from demo import batches_shop
from demo.decoder import IMAGE_TOKENS
from demo.language import token_ids
from demo.packing import Batch
from demo.reader import IGNORED
from demo.style import four_fonts
from demo.vocabulary import trained_ids
from phiserve.chat.special_tokens import Control

IDS = np.array([*trained_ids(), -1])
"""Row -> id; -1 for the row of zeros."""


def one_picture(seed: int) -> Batch:
    return batches_shop.one_picture(random.Random(seed), four_fonts(), 2, 320)


def question_first(seed: int) -> Batch:
    return batches_shop.question_first(random.Random(seed), four_fonts(), 2, 256)


def talk(seed: int) -> Batch:
    return batches_shop.talk(random.Random(seed), 3, 640)


def told_again(seed: int) -> Batch:
    return batches_shop.told_again(random.Random(seed), 2, 512)


def words(rows: NDArray[np.int64]) -> str:
    """Rows as text; an unknown token is a question mark."""
    known = {token: word for word, token in token_ids().items()}
    return "".join(known.get(int(IDS[row]), "?") for row in rows)


makers = pytest.mark.parametrize("make", [one_picture, question_first, talk, told_again])


@makers
def test_the_same_seed_gives_the_same_batch(make: Callable[[int], Batch]) -> None:
    """Array by array; another seed gives another."""
    one, again, other = make(1), make(1), make(2)
    for name in Batch.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert one.region_rows.tolist() != other.region_rows.tolist()


@makers
@pytest.mark.parametrize("seed", range(6))
def test_answers_follow_prompts(make: Callable[[int], Batch], seed: int) -> None:
    """Each target is the next token and trained, and the last one ends the turn; system turns come first."""
    batch = make(seed)
    for pack, segments in enumerate(batch.segments):
        assert segments.max() > 0
        for own in range(1, segments.max() + 1):
            places = np.nonzero(segments == own)[0]
            rows, targets = batch.region_rows[pack, places], batch.targets[pack, places]
            asked = np.nonzero(targets != IGNORED)[0]
            assert asked.tolist() == list(range(asked[0], len(places)))
            np.testing.assert_array_equal(rows[asked[1:]], targets[asked[:-1]])
            assert IDS[targets[-1]] == Control.END
            assert IDS[rows[asked[0]]] == Control.ASSISTANT
            assert targets[asked].max() < len(trained_ids())
    beginning = [*batch.prefix_rows[0], *batch.region_rows[0]]
    assert IDS[beginning[1]] == Control.SYSTEM


@pytest.mark.parametrize("make", [one_picture, question_first])
def test_the_prefix_ends_with_the_picture(make: Callable[[int], Batch]) -> None:
    """Whatever is told before it."""
    batch = make(0)
    (start,) = batch.image_starts
    assert batch.prefix_rows.shape[1] == start + IMAGE_TOKENS
    assert batch.crops.shape == (2, 1, 336, 336, 3)


def test_long_instructions() -> None:
    """Stand before the picture."""
    rng = random.Random(0)
    batch = batches_shop.one_picture(rng, four_fonts(), 1, 320, words=400)
    assert batch.image_starts[0] > 600


def test_the_question_before_the_picture_is_every_pack_s() -> None:
    """It is mostly for a price: then several answers follow."""
    batches = [question_first(seed) for seed in range(12)]
    most = [int(batch.segments.max()) for batch in batches]
    assert 1 in most
    assert sum(count > 2 for count in most) >= 6


def test_no_word_is_forgotten() -> None:
    """What is copied from a result has to be known: no known token is read as an unknown one."""
    for batch in (talk(seed) for seed in range(4)):
        rows = batch.region_rows[batch.segments > 0]
        assert (IDS[batch.prefix_rows] == Control.SYSTEM).all(0).any()
        assert (IDS[rows] == Control.END).sum() >= batch.segments.max()
        assert (rows == len(trained_ids())).mean() < 0.6


@pytest.mark.parametrize("seed", range(4))
def test_results_are_told_again_and_again(seed: int) -> None:
    """All after the same call, which is told once; most answers tell the very number."""
    batch = told_again(seed)
    assert batch.prefix_rows.shape[1] > 60
    assert batch.segments.max() > 5
    told = 0
    for own in range(1, batch.segments[0].max() + 1):
        places = batch.segments[0] == own
        rows, targets = batch.region_rows[0, places], batch.targets[0, places]
        prompt, answer = words(rows[targets == IGNORED]), words(targets[targets != IGNORED])
        numbers = re.findall(r"\d+(?:\.\d+)?", answer)
        told += any(number in prompt for number in numbers)
    assert told > 3
