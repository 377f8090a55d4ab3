"""Questions whose options are known, and the right one: as requests for decisions ask them."""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from demo.language import varied
from demo.words import draw_word
from phiserve.decisions.questions import PREDICATE_OPTIONS, Kind, Option, Question

MOST_OPTIONS = 8
"""Options that are shown at most: so many labels are taught."""

DESCRIBED = ("This is {}", "It is {}", "The answer is {}")
"""What descriptions of options say; in prompts they stand in brackets."""

_DESCRIBED, _CODED = 0.12, 0.25
"""How many questions describe their options; and in how many of these the description alone says what is
meant."""


@dataclass(frozen=True, slots=True)
class Posed:
    """A question in several wordings. `options`: all levels of a score from the lowest on; of a choice those
    from which the shown ones are drawn. `right`: the right one's index.
    """

    kind: Kind
    wordings: tuple[str, ...]
    options: tuple[str, ...]
    right: int


def predicate(wordings: Sequence[str], is_true: bool) -> Posed:
    """Is it so?"""
    return Posed("predicate", tuple(wordings), PREDICATE_OPTIONS, int(is_true))


def choice(wordings: Sequence[str], options: Collection[str], right: str) -> Posed:
    """Which of these?"""
    every = tuple(options)
    return Posed("choice", tuple(wordings), every, every.index(right))


def score(wordings: Sequence[str], levels: Sequence[str], right: int) -> Posed:
    """How far along?"""
    return Posed("score", tuple(wordings), tuple(levels), right)


def either(rng: random.Random, true: Collection[str], every: Collection[str]) -> tuple[str, bool]:
    """Something to ask whether it is so: in half of all cases it is, where anything is and not all."""
    false = [one for one in every if one not in true]
    is_true = bool(true) and (not false or rng.random() < 0.5)
    return rng.choice(list(true) if is_true else false), is_true


def drawn(rng: random.Random, posed: Posed) -> tuple[Question, int]:
    """The question as a request might have it, and the index of the right option: a choice has any number of
    its options in any order, now and then described.
    """
    shown = list(posed.options)
    right = shown[posed.right]
    if posed.kind == "choice":
        shown.remove(right)
        others = rng.sample(shown, rng.randint(1, min(len(shown), MOST_OPTIONS - 1)))
        shown = [right, *others]
        rng.shuffle(shown)
    is_described = posed.kind != "predicate" and rng.random() < _DESCRIBED
    options = _described(rng, posed.kind, shown) if is_described else tuple(map(Option, shown))
    asked = varied(rng.choice(posed.wordings), rng)
    return Question(posed.kind, (asked,), options, ""), shown.index(right)


def _described(rng: random.Random, kind: Kind, shown: Sequence[str]) -> tuple[Option, ...]:
    """Options with descriptions, some of them of codes that mean nothing by themselves."""
    form = rng.choice(DESCRIBED)
    if kind == "choice" and rng.random() < _CODED:
        codes: dict[str, None] = {}
        while len(codes) < len(shown):
            codes[draw_word(rng, held_out=False)] = None
        return tuple(Option(code, form.format(text)) for code, text in zip(codes, shown, strict=True))
    return tuple(Option(text, form.format(text) if rng.random() < 0.7 else None) for text in shown)
