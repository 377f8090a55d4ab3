"""Questions about drawn pictures of all kinds whose answer is one of some options."""

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from demo import posed_shapes
from demo.chart import COUNT, HIGHEST, LOWEST, NUMBERS
from demo.posed import Posed, choice, either, predicate, score
from demo.posed_shapes import DIGITS, THERE, arrangement_of
from demo.scene import Copied, Scene
from demo.words import CHART_LABELS
from phiserve.decisions.questions import Kind

NAMES = {
    "shapes": "a picture of shapes",
    "book": "a book cover",
    "chart": "a bar chart",
    "line": "a short text",
}
"""What options call the kinds of pictures."""

_KIND = ("What kind of picture is this?", "What does this picture show?", "What is shown in this picture?")
_IS = ("Is this {}?", "Is {} shown in this picture?")
_TEXT = ("Is there text?", "Is there text in this picture?", "Can you read text in this picture?")
_HIGHEST, _LOWEST = HIGHEST[:3], LOWEST[:3]
"""Wordings that ask for a bar, and not for its value."""

_IS_BAR = ("Is {0} the {1} bar?", "Is the {1} bar {0}?")

LEVELS = ("none", *NUMBERS[1:])

Pose = Callable[[random.Random, Scene], Posed]


def posed(rng: random.Random, scene: Scene, kind: Kind) -> Posed:
    """A question of this kind about a picture; a predicate where there is none of it about such a picture."""
    poses = POSES[scene.kind]
    return rng.choice(poses.get(kind, poses["predicate"]))(rng, scene)


def posed_of_any(rng: random.Random, scene: Scene) -> Posed:
    """A question that may be asked of any picture: what it shows."""
    return rng.choice((_is_kind, _is_there_text, _kind, _kind))(rng, scene)


def bars_of(scene: Scene) -> dict[str, int]:
    """Labels of a chart's bars and their values."""
    _, *texts = (part.text.strip() for part in scene.exchanges[0].answer if isinstance(part, Copied))
    return dict(zip(texts[::2], map(int, texts[1::2]), strict=True))


def _is_kind(rng: random.Random, scene: Scene) -> Posed:
    """A book and a chart hold text, too: of them that is no question."""
    names = [name for kind, name in NAMES.items() if kind != "line" or scene.kind in ("shapes", "line")]
    name, is_true = either(rng, (NAMES[scene.kind],), names)
    return predicate([wording.format(name) for wording in _IS], is_true)


def _is_there_text(_rng: random.Random, scene: Scene) -> Posed:
    return predicate(_TEXT, scene.kind != "shapes")


def _kind(_rng: random.Random, scene: Scene) -> Posed:
    names = [name for kind, name in NAMES.items() if kind != "line" or scene.kind in ("shapes", "line")]
    return choice(_KIND, names, NAMES[scene.kind])


def _is_bar(rng: random.Random, scene: Scene) -> Posed:
    """Whether a bar is the highest or the lowest, by its label, or whether there are so many."""
    bars = bars_of(scene)
    if not _is_nameable(bars):
        return _has_bars(rng, scene)
    name, find = rng.choice((("highest", max), ("lowest", min)))
    label, is_true = either(rng, (find(bars, key=bars.__getitem__),), bars)
    return predicate([wording.format(label, name) for wording in _IS_BAR], is_true)


def _has_bars(rng: random.Random, scene: Scene) -> Posed:
    number, is_true = either(rng, (NUMBERS[len(bars_of(scene))],), NUMBERS[2:])
    return predicate([wording.format(f"a chart with {number} bars") for wording in THERE], is_true)


def _bar(rng: random.Random, scene: Scene) -> Posed:
    bars = bars_of(scene)
    if not _is_nameable(bars):
        return _number_of_bars(rng, scene)
    wordings, find = rng.choice(((_HIGHEST, max), (_LOWEST, min)))
    return choice(wordings, bars, find(bars, key=bars.__getitem__))


def _number_of_bars(rng: random.Random, scene: Scene) -> Posed:
    options = rng.choice((NUMBERS[1:], DIGITS))
    return choice(COUNT, options, options[len(bars_of(scene)) - 1])


def _how_many_bars(_rng: random.Random, scene: Scene) -> Posed:
    return score(COUNT, LEVELS, len(bars_of(scene)))


def _is_nameable(bars: Iterable[str]) -> bool:
    """Whether all labels are made of trained tokens."""
    return all(label in CHART_LABELS or label.isdigit() for label in bars)


def _about_shapes(pose: posed_shapes.Pose) -> Pose:
    return lambda rng, scene: pose(rng, arrangement_of(scene))


_ANY: dict[Kind, tuple[Pose, ...]] = {"predicate": (_is_kind, _is_there_text), "choice": (_kind,)}

POSES: dict[str, dict[Kind, tuple[Pose, ...]]] = {
    "shapes": {
        "predicate": (*map(_about_shapes, posed_shapes.PREDICATES), *_ANY["predicate"]),
        "choice": (*map(_about_shapes, posed_shapes.CHOICES), *_ANY["choice"]),
        "score": tuple(map(_about_shapes, posed_shapes.SCORES)),
    },
    "chart": {
        "predicate": (_is_bar, _is_bar, _has_bars, *_ANY["predicate"]),
        "choice": (_bar, _bar, _bar, _number_of_bars, *_ANY["choice"]),
        "score": (_how_many_bars,),
    },
    "book": _ANY,
    "line": _ANY,
}
"""How questions of each kind are posed about each kind of picture; what stands twice is asked twice as
often."""


def every_wording() -> Iterator[str]:
    """Every wording, with enough of what may stand in it that all its tokens are there."""
    yield from chain(_KIND, _TEXT, COUNT, _HIGHEST, _LOWEST)
    for name in NAMES.values():
        yield from (wording.format(name) for wording in _IS)
    for number in NUMBERS[1:]:
        yield from (wording.format(f"a chart with {number} bars") for wording in THERE)
    for label in (*CHART_LABELS, "1234567890"):
        yield from (wording.format(label, name) for wording in _IS_BAR for name in ("highest", "lowest"))


def every_option() -> Iterator[str]:
    """Every option."""
    yield from chain(NAMES.values(), NUMBERS[1:], DIGITS, LEVELS, CHART_LABELS, ("1234567890",))
