"""One word in ten is kept from training."""

import random
import re
from itertools import combinations

import pytest

from demo.words import CHART_LABELS, draw_word, is_held_out, vocabulary
from drawings import KINDS, scenes, words

ALLOWED = {*CHART_LABELS}


def test_capitals_do_not_matter() -> None:
    """A word kept from training is kept in every spelling."""
    for word in vocabulary(held_out=True)[:50]:
        assert is_held_out(word.upper())
        assert is_held_out(word.capitalize())


def test_two_vocabularies() -> None:
    """They share nothing, a tenth is held out, and all are words of 3 to 8 letters."""
    kept, trained = vocabulary(held_out=True), vocabulary(held_out=False)
    assert not {*kept} & {*trained}
    assert len(kept) / (len(kept) + len(trained)) == pytest.approx(0.1, abs=0.02)
    assert all(re.fullmatch("[a-z]{3,8}", word) for word in (*kept, *trained))


@pytest.mark.parametrize("held_out", [False, True])
def test_drawn_words(held_out: bool) -> None:
    """Of the lengths asked for and of their side; about half of the short ones are no words at all."""
    rng = random.Random(0)
    drawn = [draw_word(rng, held_out, 3, 5) for _ in range(400)]
    assert {len(word) for word in drawn} == {3, 4, 5}
    assert {is_held_out(word) for word in drawn} == {held_out}
    unknown = [word for word in drawn if word not in vocabulary(held_out)]
    assert 0.3 < len(unknown) / len(drawn) < 0.65


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held_out", [False, True])
def test_what_pictures_say(kind: str, held_out: bool) -> None:
    """Words kept from training occur in no training picture, and held-out pictures hold no others; numbers
    and labels aside.
    """
    drawn = [word for scene in scenes(kind, held_out=held_out) for word in words(scene)]
    telling = [word for word in drawn if word.isalpha() and word not in ALLOWED]
    assert (len(telling) > 10) == (kind != "shapes")
    assert {is_held_out(word) for word in telling} <= {held_out}


def test_labels_differ() -> None:
    """No two labels that questions name are one word, however they are spelt."""
    assert all(one.lower() != other.lower() for one, other in combinations(CHART_LABELS, 2))
