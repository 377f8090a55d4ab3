"""Answers to questions about pictures of all kinds are what the pictures' own answers say."""

import random
import re

import pytest

from demo.posed import Posed
from demo.posed_pictures import NAMES, bars_of, posed, posed_of_any
from demo.scene import Scene, text_of
from demo.words import CHART_LABELS
from drawings import KINDS, scenes
from phiserve.decisions.questions import Kind

NUMBERS = {"none": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
EVERY: tuple[Kind, ...] = ("predicate", "choice", "score")


def is_right(scene: Scene, wording: str, option: str) -> bool:
    """Whether an option answers a question, by the words of both."""
    yes = option == "Yes"
    if "text" in wording and "a short text" not in wording:
        return (scene.kind in ("book", "chart", "line")) is yes
    if match := re.fullmatch(r"Is (?:this )?(a .+?)(?: shown in this picture)?\?", wording):
        return (match[1] == NAMES[scene.kind]) is yes
    if option in NAMES.values():
        return option == NAMES[scene.kind]
    answers = [text_of(exchange.answer) for exchange in scene.exchanges]
    highest, lowest = (re.fullmatch(r"The \w+ bar is (.+) with \d+\.", answers[at]) for at in (1, 2))
    count = re.fullmatch(r"There are (\w+) bars in the chart\.", answers[3])
    assert highest
    assert lowest
    assert count
    if match := re.search(r"a chart with (\w+) bars", wording):
        return (match[1] == count[1]) is yes
    if wording.startswith("How many bars"):
        return NUMBERS[count[1]] == (NUMBERS[option] if option in NUMBERS else int(option))
    most = highest if re.search("highest|largest", wording) else lowest
    if match := re.fullmatch(r"Is (?:the \w+ bar (\w+)|(\w+) the \w+ bar)\?", wording):
        return (most[1] == (match[1] or match[2])) is yes
    assert re.search("highest|largest|lowest|smallest", wording)
    return most[1] == option


def check(scene: Scene, one: Posed) -> None:
    for wording in one.wordings:
        right = [option for option in one.options if is_right(scene, wording, option)]
        assert right == [one.options[one.right]], wording


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("picture", ["chart", "book", "line"])
def test_one_option_is_right(picture: str, kind: Kind) -> None:
    """The one that is said to be, whatever the wording; shapes have their own tests."""
    rng = random.Random(0)
    for scene in scenes(picture):
        for _ in range(12):
            one = posed(rng, scene, kind)
            assert one.kind == kind if picture == "chart" else one.kind in ("predicate", kind)
            check(scene, one)


@pytest.mark.parametrize("picture", KINDS)
def test_what_a_picture_shows(picture: str) -> None:
    """Is asked of all; a text is no other answer where a book or a chart has one."""
    rng, asked = random.Random(0), set()
    for scene in scenes(picture):
        for _ in range(6):
            one = posed_of_any(rng, scene)
            asked.add(one.kind)
            check(scene, one)
            if picture in ("book", "chart"):
                assert "a short text" not in one.options
                assert not any("a short text" in wording for wording in one.wordings)
    assert asked == {"predicate", "choice"}


def test_bars() -> None:
    """Labels with their values; bars are asked for by labels whose tokens are trained."""
    rng = random.Random(0)
    for scene in scenes("chart"):
        bars = bars_of(scene)
        introduced = text_of(scene.exchanges[0].answer)
        assert introduced.endswith(
            ": " + ", ".join(f"{label} {value}" for label, value in bars.items()) + "."
        )
        for _ in range(12):
            one = posed(rng, scene, "choice")
            if {*one.options} <= {*bars}:
                assert all(label in CHART_LABELS or label.isdigit() for label in one.options)
