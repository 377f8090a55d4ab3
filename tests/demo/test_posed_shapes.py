"""Answers to questions about shapes are what a reader of the question would say."""

import random
import re
from collections.abc import Iterator, Sequence

import pytest

from demo.canvas import EDGE_KINDS
from demo.palette import COLOURS
from demo.posed import Posed
from demo.posed_shapes import (
    CHOICES,
    LEVELS,
    PREDICATES,
    SCORES,
    Arrangement,
    Pose,
    Shape,
    arrangement_of,
    every_option,
    every_wording,
)
from demo.posed_texts import imagined
from demo.scene import text_of
from demo.shapes import BACKGROUND, COUNT, PLACES
from drawings import scenes

_COLOUR, _KIND, _PLACE = "|".join(COLOURS), "|".join(EDGE_KINDS), "|".join(PLACES)
_THING = re.compile(
    rf"(?:an?|the|this)(?: (?P<colour>{_COLOUR}))? (?P<kind>{_KIND}|shape)(?: at the (?P<place>{_PLACE}))?"
)
POSES = (*PREDICATES, *CHOICES, *SCORES)
NUMBERS = {"none": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


def meant(shown: Arrangement, name: str) -> list[Shape]:
    """The shapes that a name fits."""
    match = _THING.fullmatch(name)
    assert match, name
    return [
        shape
        for shape in shown.shapes
        if match["colour"] in (None, shape.colour)
        and match["kind"] in ("shape", shape.kind)
        and match["place"] in (None, shape.place)
    ]


def the_one(shown: Arrangement, name: str) -> Shape:
    (shape,) = meant(shown, name)
    return shape


def number(text: str) -> int:
    return NUMBERS[text] if text in NUMBERS else int(text)


def is_right(shown: Arrangement, wording: str, option: str) -> bool:
    """Whether an option answers a question, by the words of both."""
    if match := re.fullmatch(r"(?:Is there|Do you see|Can you see) (.+?)(?: in this picture)?\?", wording):
        return bool(meant(shown, match[1])) is (option == "Yes")
    if match := re.fullmatch(rf"Is .*background ({_COLOUR})\?", wording):
        return (shown.background == match[1]) is (option == "Yes")
    if match := re.fullmatch(rf"Is (?:the color of )?(.+) ({_COLOUR})\?", wording):
        return (the_one(shown, match[1]).colour == match[2]) is (option == "Yes")
    if wording in BACKGROUND:
        return shown.background == option
    if wording in COUNT:
        return len(shown.shapes) == number(option)
    if match := re.match(rf"How many ({_COLOUR}) shapes", wording):
        return [shape.colour for shape in shown.shapes].count(match[1]) == number(option)
    if match := re.fullmatch(r"Where (?:is|do you see) (.+)\?", wording):
        return the_one(shown, match[1]).place == option
    if match := re.fullmatch(rf"(?:Which shape|What kind of shape) is ({_COLOUR})\?", wording):
        return the_one(shown, f"the {match[1]} shape").kind == option
    if option in COLOURS:
        match = re.fullmatch(r"(?:What color is|What is the color of|Which color is) (.+)\?", wording)
        assert match, wording
        return the_one(shown, match[1]).colour == option
    if option in EDGE_KINDS:
        match = re.fullmatch(r"(?:What|Which shape|What kind of shape) is (.+)\?", wording)
        assert match, wording
        return the_one(shown, match[1]).kind == option
    return bool(meant(shown, option))


def words(texts: Sequence[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"\w+", text)}


def posed(pose: Pose) -> Iterator[tuple[Arrangement, Posed]]:
    for seed in range(150):
        rng = random.Random(seed)
        shown = imagined(rng)
        yield shown, pose(rng, shown)


@pytest.mark.parametrize(
    "pose", dict.fromkeys((*PREDICATES, *CHOICES, *SCORES)), ids=lambda pose: pose.__name__
)
def test_one_option_is_right(pose: Pose) -> None:
    """The one that is said to be, whatever the wording; predicates are true about as often as not."""
    rights = []
    for shown, one in posed(pose):
        for wording in one.wordings:
            right = [option for option in one.options if is_right(shown, wording, option)]
            assert right == [one.options[one.right]], wording
        rights.append(one.right)
    if pose in PREDICATES:
        assert 50 < sum(rights) < 100


def test_kinds() -> None:
    """Of questions, and a score's levels from the lowest on."""
    for kind, poses in (("predicate", PREDICATES), ("choice", CHOICES), ("score", SCORES)):
        for pose in poses:
            assert {one.kind for _, one in posed(pose)} == {kind}
    for pose in SCORES:
        assert {one.options for _, one in posed(pose)} == {LEVELS}


def test_arrangements_of_pictures() -> None:
    """Say what the picture's own answers say."""
    for scene in scenes("shapes", count=30):
        shown = arrangement_of(scene)
        whole, _, background = (text_of(exchange.answer) for exchange in scene.exchanges)
        told = re.findall(rf"({_COLOUR}) ({_KIND}) at the ({_PLACE})", whole)
        assert [(shape.colour, shape.kind, shape.place) for shape in shown.shapes] == told
        assert background == f"The background is {shown.background}."


def test_all_words_are_told() -> None:
    """The words of all questions and options that are drawn are among those that are trained."""
    trained = {word for text in (*every_wording(), *every_option()) for word in re.findall(r"\w+", text)}
    for pose in (*PREDICATES, *CHOICES, *SCORES):
        for _, one in posed(pose):
            texts = (*one.wordings, *one.options)
            assert {word for text in texts for word in re.findall(r"\w+", text)} <= trained - {""} | {
                "No",
                "Yes",
            }
