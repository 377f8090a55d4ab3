"""What training asks: which question in which words, in a first or a second turn, and what it can't
answer.
"""

import random
from collections.abc import Sequence

from demo.kinds import DRAW
from demo.language import Branch, Layout, branch, user, varied
from demo.scene import Exchange, Literal, Scene, text_of
from demo.talk import ASKED_WITHOUT, NO_PICTURE, OFF_TOPIC, REFUSAL, SYSTEM_PROMPTS, TALK
from phiserve.core import Turn

MISTAKEN = {
    "book": (
        "Help me get the title and author information of this book?",
        "What is the title of this book?",
        "Who wrote this book?",
    ),
    "chart": (
        "Could you please introduce this chart to me?",
        "Which bar is the highest?",
        "Describe this chart.",
    ),
    "shapes": (
        "How many shapes are in this picture?",
        "Which shapes are in this picture?",
        "Describe the shapes.",
    ),
    "line": ("What does the text say?", "Please read the text in this image.", "Read the text."),
}
"""Questions that suppose another kind of picture; a book or a chart does hold text, so that "line" is asked
of shapes alone."""

_THING = {"book": "book", "chart": "chart", "shapes": "shapes", "line": "text"}


def system(rng: random.Random) -> tuple[Turn, ...]:
    """A system turn, in one of six cases."""
    return (Turn("system", (rng.choice(SYSTEM_PROMPTS),)),) if rng.random() < 1 / 6 else ()


def worded(rng: random.Random, exchange: Exchange) -> str:
    """The exchange's question in one of its wordings."""
    return varied(rng.choice(exchange.questions), rng)


def about(rng: random.Random, scene: Scene, before: Sequence[Turn]) -> Branch:
    """A question about a picture: mostly the task's first, now and then a second turn, or one that can't be
    answered.
    """
    exchange = _exchange(rng, scene)
    turns = [*before, user(worded(rng, exchange), pictures=1)]
    if rng.random() < 0.15:
        turns.append(Turn("assistant", (text_of(exchange.answer),)))
        exchange = _exchange(rng, scene)
        turns.append(user(worded(rng, exchange)))
    return branch(turns, exchange.answer)


def about_both(
    rng: random.Random, compared: Sequence[Exchange], before: Sequence[Turn], layout: Layout
) -> Branch:
    """A question about two pictures: mostly what tells them apart. `compared`: see `demo.pairs.compare`."""
    exchange = compared[rng.choices((0, 1, 2), (0.7, 0.15, 0.15))[0]]
    return branch((*before, user(worded(rng, exchange), pictures=2, layout=layout)), exchange.answer)


def talked(rng: random.Random) -> Branch:
    """Something said without a picture, now and then after a first exchange."""
    before = list(system(rng))
    if rng.random() < 0.25:
        wordings, answer = rng.choice(TALK)
        before += [user(rng.choice(wordings)), Turn("assistant", (answer.strip(),))]
    kind = rng.random()
    if kind < 0.55:
        wordings, answer = rng.choice(TALK)
        return branch([*before, user(varied(rng.choice(wordings), rng))], (Literal(answer),))
    if kind < 0.8:
        return branch([*before, user(varied(rng.choice(OFF_TOPIC), rng))], (Literal(REFUSAL),))
    return branch([*before, user(varied(rng.choice(ASKED_WITHOUT), rng))], (Literal(NO_PICTURE),))


def _exchange(rng: random.Random, scene: Scene) -> Exchange:
    if rng.random() < 0.04:
        return Exchange((rng.choice(OFF_TOPIC),), (Literal(REFUSAL),))
    if rng.random() < 0.04:
        other = rng.choice(
            [kind for kind in DRAW if kind != scene.kind and (kind != "line" or scene.kind == "shapes")]
        )
        return Exchange(MISTAKEN[other], (Literal(f" I see no {_THING[other]} in this picture."),))
    return scene.exchanges[0] if rng.random() < 0.35 else rng.choice(scene.exchanges)
