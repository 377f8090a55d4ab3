"""Questions in training: mostly what the picture answers, and honestly the rest."""

import random
from collections import Counter

import pytest

from demo.asking import MISTAKEN, about, about_both, talked
from demo.kinds import DRAW
from demo.language import Branch, encode_answer
from demo.pairs import compare
from demo.scene import Literal
from demo.style import one_font
from demo.talk import REFUSAL
from drawings import KINDS
from phiserve.chat.special_tokens import Control


def turns(branch: Branch) -> int:
    """How many answers a branch has, with those in its prompt."""
    return branch.prompt.count(Control.ASSISTANT)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_asked_of_a_picture(kind: str) -> None:
    """All that can be asked of it, a second turn now and then, and what it can't answer."""
    rng = random.Random(kind)
    scene = DRAW[kind](rng, one_font())
    asked = [about(rng, scene, ()) for _ in range(400)]
    answers = Counter(branch.answer for branch in asked)
    assert {encode_answer(exchange.answer)[0] for exchange in scene.exchanges} <= {*answers}
    assert answers[encode_answer((Literal(REFUSAL),))[0]] > 0
    others = [other for other in MISTAKEN if other != kind and (other != "line" or kind == "shapes")]
    things = ["text" if other == "line" else other for other in others]
    nothing = [encode_answer((Literal(f" I see no {thing} in this picture."),))[0] for thing in things]
    assert sum(answers[answer] for answer in nothing) > 0
    assert 0.05 < sum(turns(branch) == 2 for branch in asked) / len(asked) < 0.3


def test_what_is_asked_of_two_pictures() -> None:
    """Mostly what tells them apart; now and then of one of them alone."""
    rng = random.Random(0)
    compared = compare(*(DRAW[kind](rng, one_font()) for kind in ("shapes", "line")))
    answers = Counter(about_both(rng, compared, (), "pictures first").answer for _ in range(200))
    first, *rest = (answers[encode_answer(exchange.answer)[0]] for exchange in compared[:3])
    assert first > 100
    assert all(10 < count < 60 for count in rest)


def test_talk_may_follow_talk() -> None:
    """About a quarter of it."""
    rng = random.Random(0)
    said = [talked(rng) for _ in range(200)]
    assert 0.15 < sum(turns(branch) == 2 for branch in said) / len(said) < 0.4
