"""Batches in which decisions are asked for: about pictures of one kind or of any, or about texts alone."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from demo.asking import system
from demo.batches import filled
from demo.kinds import Shares, draw_scene
from demo.language import user
from demo.lettered import Lettered, lettered
from demo.packing import Batch, Pack, Places, batch_of
from demo.posed import Posed, drawn
from demo.posed_pictures import posed as posed_of_picture
from demo.posed_texts import posed_of_shapes, posed_simply
from demo.reader import IGNORED
from demo.scene import Scene
from demo.style import Style
from phiserve.core import Turn
from phiserve.decisions.questions import Kind, orders

SHAPES: Shares = {"shapes": 1.0}
ANY: Shares = {"shapes": 0.45, "chart": 0.35, "book": 0.1, "line": 0.1}
"""How often which kind of picture is drawn."""

_KINDS: dict[Kind, float] = {"predicate": 0.35, "choice": 0.5, "score": 0.15}
_AGAIN = 0.4
"""Of questions that are asked twice, in two orders of their options."""

_ORDERS = 4
"""Of the orders in which the server shows options, those that are trained."""


@dataclass(frozen=True, slots=True)
class LetteredBatch:
    """A batch, and `options` (B, R): at the end of an option's line whether it is the right one, else
    IGNORED.
    """

    batch: Batch
    options: Places


def pictures(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> LetteredBatch:
    """Packs about one picture each."""
    before = system(rng)
    turns = (*before, user("", pictures=1))
    packs = []
    for _ in range(size):
        scene = draw_scene(rng, style, shares)
        pose = partial(_about_picture, rng, scene, turns)
        packs.append(Pack((scene,), filled(region, asking(rng, pose))))
    return _with_options(packs, batch_of(packs, turns, region, rng, forgotten=0))


def texts(rng: random.Random, size: int, region: int, simple: float) -> LetteredBatch:
    """Packs about texts, of which the share `simple` says one thing only."""
    pose = partial(_about_text, rng, simple)
    packs = [Pack((), filled(region, asking(rng, pose))) for _ in range(size)]
    return _with_options(packs, batch_of(packs, None, region, rng, forgotten=0))


def asking(rng: random.Random, pose: Callable[[], tuple[Sequence[Turn], Posed]]) -> Callable[[], Lettered]:
    """Asks what is posed, in one of the orders in which the server shows options, or in two of them."""
    waiting: list[Lettered] = []

    def ask() -> Lettered:
        if not waiting:
            turns, posed = pose()
            question, right = drawn(rng, posed)
            every = orders(len(question.options), _ORDERS)
            shown = rng.sample(every, 1 + (rng.random() < _AGAIN))
            waiting.extend(lettered(turns, question, right, order) for order in shown)
        return waiting.pop()

    return ask


def _about_picture(rng: random.Random, scene: Scene, turns: Sequence[Turn]) -> tuple[Sequence[Turn], Posed]:
    return turns, posed_of_picture(rng, scene, _kind_of_question(rng))


def _about_text(rng: random.Random, simple: float) -> tuple[Sequence[Turn], Posed]:
    pose = posed_simply if rng.random() < simple else posed_of_shapes
    text, posed = pose(rng, _kind_of_question(rng))
    return (*system(rng), user(text)), posed


def _kind_of_question(rng: random.Random) -> Kind:
    """One of the three."""
    return rng.choices(list(_KINDS), list(_KINDS.values()))[0]


def _with_options(packs: Sequence[Pack], batch: Batch) -> LetteredBatch:
    """The batch of these packs, with what is known of their options."""
    options = np.full_like(batch.targets, IGNORED)
    for row, pack in enumerate(packs):
        for number, one in enumerate(pack.branches, 1):
            if isinstance(one, Lettered):
                last = np.nonzero(batch.segments[row] == number)[0][-1]
                options[row, last - np.array(one.ends)] = np.arange(len(one.ends)) == one.right
    return LetteredBatch(batch, options)
