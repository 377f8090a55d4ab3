"""Questions with options are drawn as requests have them, and know the right option."""

import random
from collections import Counter

from demo.posed import MOST_OPTIONS, choice, drawn, either, predicate, score
from phiserve.decisions.questions import PREDICATE_OPTIONS

LETTERS = "abcdefghijkl"


def test_kinds() -> None:
    """A predicate is read as No or Yes, a score's levels stay in order."""
    assert predicate(["?"], is_true=True).options[1] == "Yes"
    rng = random.Random(0)
    for is_true in (False, True):
        question, right = drawn(rng, predicate(["Is it?"], is_true))
        assert tuple(option.text for option in question.options) == PREDICATE_OPTIONS
        assert (question.kind, question.options[right].text == "Yes") == ("predicate", is_true)
    for _ in range(40):
        question, right = drawn(rng, score(["How?"], ("low", "middle", "high"), 2))
        assert [option.text for option in question.options] == ["low", "middle", "high"]
        assert (question.kind, right) == ("score", 2)


def test_choices() -> None:
    """Two to eight different options in any order, the right one among them."""
    rng, numbers, places = random.Random(0), Counter[int](), Counter[int]()
    for _ in range(2000):
        question, right = drawn(rng, choice(["Which?"], LETTERS, "c"))
        shown = [option.text for option in question.options]
        assert len({*shown}) == len(shown)
        said = question.options[right]
        assert said.text == "c" or (said.description or "").endswith(" c")
        numbers[len(shown)] += 1
        places[right] += len(shown) == 4
    assert {*numbers} == {*range(2, MOST_OPTIONS + 1)}
    assert min(places[place] for place in range(4)) > 40


def test_descriptions() -> None:
    """Now and then; then the words of each option stand in it, and in some questions there alone."""
    rng, described, coded = random.Random(0), 0, 0
    for _ in range(1000):
        question, _ = drawn(rng, choice(["Which?"], LETTERS[:3], "c"))
        told = [option for option in question.options if option.description is not None]
        described += bool(told)
        coded += any(option.text not in LETTERS for option in told)
        for option in told:
            assert (option.description or "").rpartition(" ")[2] in LETTERS
    assert 60 < described < 180
    assert 10 < coded < 60


def test_either() -> None:
    """As often so as not, unless only one of them can be."""
    rng = random.Random(0)
    asked = [either(rng, "ab", "abcd") for _ in range(400)]
    assert all((word in "ab") is is_true for word, is_true in asked)
    assert 150 < sum(is_true for _, is_true in asked) < 250
    assert {is_true for _, is_true in (either(rng, "", "ab") for _ in range(20))} == {False}
    assert {is_true for _, is_true in (either(rng, "ab", "ab") for _ in range(20))} == {True}
