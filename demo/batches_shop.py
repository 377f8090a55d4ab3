"""Batches in which tools are told: pictures before the question or behind it, or none."""

import random
from collections.abc import Sequence
from functools import partial

from demo import asking_shop
from demo.asking import worded
from demo.asking_shop import TOOL_OF, Counter, about, draw_counter, for_price, imagined, talked
from demo.batches import ALWAYS, filled
from demo.kinds import DRAW, Shares, draw_kind, draw_scene
from demo.language import Branch, branch, user, varied
from demo.packing import Batch, Pack, batch_of, common_beginning
from demo.scene import Scene
from demo.shop import COSTS, Priced, priced
from demo.style import Style
from demo.surroundings import surrounded
from phiserve.core import Turn

SHARES: Shares = {"shapes": 0.48, "book": 0.3, "chart": 0.12, "line": 0.1}
"""How often which kind of picture is drawn: mostly those that show something with a price."""


def one_picture(rng: random.Random, style: Style, size: int, region: int, words: int = 0) -> Batch:
    """Packs about one picture each, before the questions. `words`: length of instructions, if they are to be
    long.
    """
    counter = draw_counter(rng, words=words)
    packs = []
    for _ in range(size):
        scene = draw_scene(rng, style, SHARES)
        packs.append(Pack((scene,), filled(region, partial(about, rng, scene, counter))))
    return batch_of(packs, (*counter.before, user("", pictures=1)), region, rng, forgotten=0)


def calls(rng: random.Random, style: Style, kind: str, size: int, region: int, words: int = 0) -> Batch:
    """Packs about one picture of a kind each, before the questions, of which all are answered by a call."""
    counter = draw_counter(rng, words=words)
    while TOOL_OF[kind] not in counter.tools:
        counter = draw_counter(rng, words=words)
    packs = []
    for _ in range(size):
        scene = DRAW[kind](rng, style)
        packs.append(Pack((scene,), filled(region, partial(asking_shop.called, rng, scene, counter))))
    return batch_of(packs, (*counter.before, user("", pictures=1)), region, rng, forgotten=0)


def question_first(rng: random.Random, style: Style, size: int, region: int, words: int = 0) -> Batch:
    """Packs with the same question before the picture in the whole batch: mostly for a price, answered by a
    call, and by words after several results.
    """
    counter, kind = draw_counter(rng, words=words), draw_kind(rng, SHARES)
    if rng.random() < 0.25:
        return _another_first(rng, style, size, counter, kind)
    while TOOL_OF.get(kind) not in counter.tools:
        counter, kind = draw_counter(rng, words=words), draw_kind(rng, SHARES)
    asked_as = rng.choice(priced(DRAW[kind](rng, style))).asked_as
    question = surrounded(rng, varied(rng.choice(COSTS).format(asked_as), rng))
    turns = (*counter.before, user(question, pictures=1, layout="question first"))
    packs = []
    for _ in range(size):
        scene, thing = _scene_with(rng, style, kind, asked_as)
        packs.append(Pack((scene,), filled(region, partial(_asked_before, rng, thing, counter, turns))))
    return batch_of(packs, turns, region, rng, forgotten=0)


def talk(rng: random.Random, size: int, region: int) -> Batch:
    """Packs without a picture."""
    counters = [draw_counter(rng) for _ in range(size)]
    packs = [Pack((), filled(region, partial(talked, rng, counter))) for counter in counters]
    return batch_of([pack for pack in packs if pack.branches], None, region, rng, forgotten=0)


def told_again(rng: random.Random, size: int, region: int) -> Batch:
    """Packs without a picture in which a tool has been called for the same thing, with many results."""
    counter = draw_counter(rng)
    while not counter.tools:
        counter = draw_counter(rng)
    thing, form = imagined(rng, rng.choice(counter.tools)), rng.getrandbits(32)
    question = surrounded(rng, varied(rng.choice(COSTS).format(thing.asked_as), rng))
    ask = partial(asking_shop.told_again, rng, thing, counter, question, form)
    beginning = len(common_beginning([ask().prompt for _ in range(8)]))
    packs = [Pack((), filled(region, ask, beginning)) for _ in range(size)]
    return batch_of(packs, None, region, rng, forgotten=0)


def _another_first(rng: random.Random, style: Style, size: int, counter: Counter, kind: str) -> Batch:
    """Packs with one question that needs no tool."""
    asked = rng.randrange(ALWAYS[kind])
    scenes = [DRAW[kind](rng, style) for _ in range(size)]
    question = surrounded(rng, worded(rng, scenes[0].exchanges[asked]))
    turns = (*counter.before, user(question, pictures=1, layout="question first"))
    packs = [
        Pack((scene,), [branch(turns, counter.answer(scene.exchanges[asked].answer))]) for scene in scenes
    ]
    return batch_of(packs, turns, 160, rng, forgotten=0)


def _asked_before(rng: random.Random, thing: Priced, counter: Counter, turns: Sequence[Turn]) -> Branch:
    said, answer = for_price(rng, thing, counter)
    return branch((*turns, *said), answer)


def _scene_with(rng: random.Random, style: Style, kind: str, asked_as: str) -> tuple[Scene, Priced]:
    """A picture of a kind, and what in it can be asked for so."""
    while True:
        scene = DRAW[kind](rng, style)
        for thing in priced(scene):
            if thing.asked_as == asked_as:
                return scene, thing
