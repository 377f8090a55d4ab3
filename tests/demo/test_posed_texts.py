"""Texts say what is asked about them."""

import random
import re

import pytest

from demo.posed_texts import description, imagined, posed_of_shapes, posed_simply
from demo.scene import text_of
from demo.shapes import PLACES
from drawings import scenes
from phiserve.decisions.questions import Kind

EVERY: tuple[Kind, ...] = ("predicate", "choice", "score")


@pytest.mark.parametrize("kind", EVERY)
def test_simple_texts(kind: Kind) -> None:
    """Hold the right option's own words, and no other option's."""
    rng, rights = random.Random(0), []
    for _ in range(200):
        text, one = posed_simply(rng, kind)
        assert one.kind == kind
        right = one.options[one.right]
        rights.append(one.right)
        if kind == "predicate":
            asked = re.fullmatch(r"Is (?:it|the answer) (.+)\?", one.wordings[0])
            assert asked
            assert bool(re.search(rf"(?:is|see) {asked[1]}\.", text)) is (right == "Yes")
        elif right == "none":
            assert re.search(r"\b(no|none)\b", text)
        else:
            said = [option for option in one.options if re.search(rf"\b{option}\b", text)]
            assert max(said, key=len) == right
    assert len({*rights}) > 1


def test_descriptions_are_the_model_s_own() -> None:
    """Of the form in which it describes pictures of shapes."""
    form = re.compile(
        r"an? \w+ (?:circle|square|triangle) at the (?:" + "|".join(PLACES) + ")|an? \\w+ background"
    )
    drawn = {form.sub("X", text_of(scene.exchanges[0].answer)) for scene in scenes("shapes", count=40)}
    rng = random.Random(0)
    told = {form.sub("X", description(imagined(rng))) for _ in range(60)}
    assert told == drawn
    assert len(told) == 3


@pytest.mark.parametrize("kind", EVERY)
def test_about_shapes(kind: Kind) -> None:
    """What is told of them is asked as of a picture; see the tests of those questions for their answers."""
    rng = random.Random(0)
    for _ in range(50):
        text, one = posed_of_shapes(rng, kind)
        assert text.startswith("The picture shows ")
        assert one.kind == kind
