"""Batches of one kind each, drawn and asked about: one picture, two, the question first, none."""

import random
from collections.abc import Callable
from functools import partial

from demo.asking import about, about_both, system, talked, worded
from demo.kinds import DRAW, Shares, draw_kind, draw_scene
from demo.language import Branch, Layout, branch, user
from demo.packing import Batch, Pack, batch_of
from demo.pairs import compare
from demo.style import Style

ALWAYS = {"book": 4, "chart": 6, "shapes": 3, "line": 2}
"""How many of the first exchanges every scene of a kind has."""

_TRIES = 16
"""How many questions at most are drawn to fill a region."""


def one_picture(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs about one picture each, the picture first; one of six batches has a system turn before it."""
    before = system(rng)
    packs = []
    for _ in range(size):
        scene = draw_scene(rng, style, shares)
        packs.append(Pack((scene,), filled(region, partial(about, rng, scene, before))))
    return batch_of(packs, (*before, user("", pictures=1)), region, rng)


def two_pictures(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs about two pictures; labelled in one of five batches."""
    before = system(rng)
    layout: Layout = "labelled" if rng.random() < 0.2 else "pictures first"
    packs = []
    for _ in range(size):
        scenes = draw_scene(rng, style, shares), draw_scene(rng, style, shares)
        packs.append(Pack(scenes, filled(region, partial(about_both, rng, compare(*scenes), before, layout))))
    return batch_of(packs, (*before, user("", pictures=2, layout=layout)), region, rng)


def question_first(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs with one question, which stands before the picture: the same wording in the whole batch."""
    if rng.random() < 0.25:
        return _compared_first(rng, style, shares, size // 2, region)
    kind = draw_kind(rng, shares)
    asked = rng.randrange(ALWAYS[kind])
    before = system(rng)
    scenes = [DRAW[kind](rng, style) for _ in range(size)]
    question = worded(rng, scenes[0].exchanges[asked])
    turns = (*before, user(question, pictures=1, layout="question first"))
    packs = [Pack((scene,), [branch(turns, scene.exchanges[asked].answer)]) for scene in scenes]
    return batch_of(packs, turns, region, rng)


def _compared_first(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs about two pictures that stand behind the question."""
    pairs = [(draw_scene(rng, style, shares), draw_scene(rng, style, shares)) for _ in range(size)]
    compared = [compare(*pair)[0] for pair in pairs]
    turns = (user(worded(rng, compared[0]), pictures=2, layout="question first"),)
    packs = [
        Pack(pair, [branch(turns, exchange.answer)]) for pair, exchange in zip(pairs, compared, strict=True)
    ]
    return batch_of(packs, turns, region, rng)


def talk(rng: random.Random, size: int, region: int) -> Batch:
    """Packs without a picture."""
    return batch_of([Pack((), filled(region, partial(talked, rng))) for _ in range(size)], None, region, rng)


def filled(region: int, ask: Callable[[], Branch], prefix: int = 0) -> list[Branch]:
    """Branches until the region is about full; the first tokens of each, `prefix`, do not count."""
    branches: list[Branch] = []
    left = region
    for _ in range(_TRIES):
        new = ask()
        length = len(new.prompt) - prefix + len(new.answer)
        if length <= left:
            branches.append(new)
            left -= length
    return branches
