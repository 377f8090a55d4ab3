"""Drawn scenes and their questions as batches of packs (see `demo.decoder`)."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.augment import augmented
from demo.book import draw_book
from demo.chart import draw_chart
from demo.decoder import BLOCKS, IMAGE_TOKENS
from demo.language import Branch, Layout, branch, encode_turns, user, varied
from demo.lines import draw_line
from demo.pairs import compare
from demo.reader import IGNORED, LABELS, patch_labels
from demo.roles import block_roles, spelled
from demo.scene import Exchange, Literal, Scene, text_of
from demo.shapes import draw_shapes
from demo.style import Style
from demo.talk import ASKED_WITHOUT, NO_PICTURE, OFF_TOPIC, REFUSAL, SYSTEM_PROMPTS, TALK
from demo.vocabulary import row_of, trained_ids
from phiserve.chat.conversation import Turn
from phiserve.chat.special_tokens import PIECES, Control
from phiserve.checkpoint.demo_tower import PATCH

DRAW: dict[str, Callable[[random.Random, Style], Scene]] = {
    "book": draw_book,
    "chart": draw_chart,
    "shapes": draw_shapes,
    "line": draw_line,
}
Shares = Mapping[str, float]
"""Which kinds of pictures, and how often."""

EASY: Shares = {"line": 0.55, "book": 0.25, "shapes": 0.12, "chart": 0.08}
USUAL: Shares = {"book": 0.32, "chart": 0.38, "shapes": 0.18, "line": 0.12}
_ALWAYS = {"book": 4, "chart": 6, "shapes": 3, "line": 2}
"""How many of the first exchanges every scene of a kind has."""

_THING = {"book": "book", "chart": "chart", "shapes": "shapes", "line": "text"}

_UNKNOWN, _FORGOTTEN = -1, 0.03
"""Of a prompt's words, this share is read as ones that are not known, so that real unknown ones do no harm."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of a batch of B packs with n pictures each, prefix length P and region length R.

    `crops` (B, n, 336, 336, 3) uint8; `prefix_rows` (B, P), `region_rows`, `positions`, `segments` (B, R); `targets` (B, R): rows
    or IGNORED; `places` (B, R, 2): row and column of the patch that the next character stands in; `spelled` (B, R, 2): its text's
    role and its number in it; `labels` (B, n, 576, LABELS): of patches; `roles` (B, n, 144, 2): of blocks.
    """

    crops: NDArray[np.uint8]
    prefix_rows: Places
    image_starts: tuple[int, ...]
    region_rows: Places
    positions: Places
    segments: Places
    targets: Places
    places: Places
    spelled: Places
    labels: Places
    roles: Places


@dataclass(frozen=True, slots=True)
class _Pack:
    scenes: tuple[Scene, ...]
    branches: list[Branch]


def draw_scene(rng: random.Random, style: Style, shares: Shares) -> Scene:
    """A picture of one of these kinds."""
    return DRAW[draw_kind(rng, shares)](rng, style)


def draw_kind(rng: random.Random, shares: Shares) -> str:
    """One of these kinds."""
    return rng.choices(list(shares), list(shares.values()))[0]


def one_picture(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs about one picture each, the picture first; one of six batches has a system turn before it."""
    before = _system(rng)
    packs = []
    for _ in range(size):
        scene = draw_scene(rng, style, shares)
        packs.append(_Pack((scene,), _fill(rng, region, lambda scene=scene: _about(rng, scene, before))))  # type: ignore[misc]
    return _batch(packs, (*before, user("", pictures=1)), region, rng)


def question_first(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs with one question, which stands before the picture: the same wording in the whole batch."""
    if rng.random() < 0.25:
        return _compared_first(rng, style, shares, size // 2, region)
    kind = draw_kind(rng, shares)
    asked = rng.randrange(_ALWAYS[kind])
    before = _system(rng)
    scenes = [DRAW[kind](rng, style) for _ in range(size)]
    question = _worded(rng, scenes[0].exchanges[asked])
    turns = (*before, user(question, pictures=1, layout="question first"))
    packs = [_Pack((scene,), [branch(turns, scene.exchanges[asked].answer)]) for scene in scenes]
    return _batch(packs, turns, region, rng)


def _compared_first(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs about two pictures that stand behind the question."""
    pairs = [(draw_scene(rng, style, shares), draw_scene(rng, style, shares)) for _ in range(size)]
    compared = [compare(*pair)[0] for pair in pairs]
    turns = (user(_worded(rng, compared[0]), pictures=2, layout="question first"),)
    packs = [_Pack(pair, [branch(turns, exchange.answer)]) for pair, exchange in zip(pairs, compared, strict=True)]
    return _batch(packs, turns, region, rng)


def two_pictures(rng: random.Random, style: Style, shares: Shares, size: int, region: int) -> Batch:
    """Packs about two pictures; labelled in one of five batches."""
    before = _system(rng)
    layout: Layout = "labelled" if rng.random() < 0.2 else "pictures first"
    packs = []
    for _ in range(size):
        scenes = draw_scene(rng, style, shares), draw_scene(rng, style, shares)
        exchanges = compare(*scenes)

        def ask(exchanges: tuple[Exchange, ...] = exchanges) -> Branch:
            exchange = exchanges[rng.choices((0, 1, 2), (0.7, 0.15, 0.15))[0]]
            return branch((*before, user(_worded(rng, exchange), pictures=2, layout=layout)), exchange.answer)

        packs.append(_Pack(scenes, _fill(rng, region, ask)))
    return _batch(packs, (*before, user("", pictures=2, layout=layout)), region, rng)


def talk(rng: random.Random, size: int, region: int) -> Batch:
    """Packs without a picture."""
    packs = [_Pack((), _fill(rng, region, lambda: _talked(rng))) for _ in range(size)]
    return _batch(packs, None, region, rng)


def _system(rng: random.Random) -> tuple[Turn, ...]:
    return (Turn("system", (rng.choice(SYSTEM_PROMPTS),)),) if rng.random() < 1 / 6 else ()


def _fill(rng: random.Random, region: int, draw: Callable[[], Branch]) -> list[Branch]:
    """Branches until the region is about full."""
    branches: list[Branch] = []
    left = region
    for _ in range(12):
        new = draw()
        if len(new.prompt) + len(new.answer) <= left:
            branches.append(new)
            left -= len(new.prompt) + len(new.answer)
    return branches


def _about(rng: random.Random, scene: Scene, before: Sequence[Turn]) -> Branch:
    """A question about a picture: mostly the task's first, now and then a second turn, or one that can't be answered."""
    exchange = _exchange(rng, scene)
    turns = [*before, user(_worded(rng, exchange), pictures=1)]
    if rng.random() < 0.15:
        turns.append(Turn("assistant", (text_of(exchange.answer),)))
        exchange = _exchange(rng, scene)
        turns.append(user(_worded(rng, exchange)))
    return branch(turns, exchange.answer)


def _worded(rng: random.Random, exchange: Exchange) -> str:
    return varied(rng.choice(exchange.questions), rng)


def _exchange(rng: random.Random, scene: Scene) -> Exchange:
    if rng.random() < 0.04:
        return Exchange((rng.choice(OFF_TOPIC),), (Literal(REFUSAL),))
    if rng.random() < 0.04:
        other = rng.choice([kind for kind in DRAW if kind != scene.kind and (kind != "line" or scene.kind == "shapes")])
        return Exchange(MISTAKEN[other], (Literal(f" I see no {_THING[other]} in this picture."),))
    return scene.exchanges[0] if rng.random() < 0.35 else rng.choice(scene.exchanges)


MISTAKEN = {
    "book": (
        "Help me get the title and author information of this book?",
        "What is the title of this book?",
        "Who wrote this book?",
    ),
    "chart": ("Could you please introduce this chart to me?", "Which bar is the highest?", "Describe this chart."),
    "shapes": ("How many shapes are in this picture?", "Which shapes are in this picture?", "Describe the shapes."),
    "line": ("What does the text say?", "Please read the text in this image.", "Read the text."),
}
"""Questions that suppose another kind of picture; a book or a chart does hold text, so that "line" is asked of shapes alone."""


def _talked(rng: random.Random) -> Branch:
    before = list(_system(rng))
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


def _batch(packs: list[_Pack], turns: Sequence[Turn] | None, region: int, rng: random.Random) -> Batch:
    """Arrays of packs whose prefix ends with the last picture of `turns`; without pictures it is `<s>` alone."""
    prefix, starts = [Control.BOS.value], []
    if turns is not None:
        stretches = encode_turns(tuple(turns))[:-1]
        prefix = []
        for stretch in stretches:
            prefix += stretch
            starts.append(len(prefix))
            prefix += [Control.IMAGE.value] * IMAGE_TOKENS
    rows = [_rows(pack, region, len(prefix), len(starts), rng) for pack in packs]
    scenes = [scene for pack in packs for scene in pack.scenes]
    count = len(starts)

    def stack(arrays: list[NDArray[np.int64]], *shape: int) -> NDArray[np.int64]:
        return np.stack(arrays).reshape(len(packs), count, *shape) if arrays else np.zeros((len(packs), 0, *shape), np.int64)

    crops = [augmented(scene.canvas, rng) for scene in scenes]
    return Batch(
        crops=np.stack(crops).reshape(len(packs), count, *crops[0].shape) if crops else np.zeros((len(packs), 0), np.uint8),
        prefix_rows=np.array([to_rows(prefix)] * len(packs)),
        image_starts=tuple(starts),
        region_rows=np.stack([row[0] for row in rows]),
        positions=np.stack([row[1] for row in rows]),
        segments=np.stack([row[2] for row in rows]),
        targets=np.stack([row[3] for row in rows]),
        places=np.stack([row[4] for row in rows]),
        spelled=np.stack([row[5] for row in rows]),
        labels=stack([patch_labels(scene.canvas) for scene in scenes], 576, LABELS),
        roles=stack(
            [block_roles(scene, picture) for pack in packs for picture, scene in enumerate(pack.scenes)], BLOCKS * BLOCKS, 2
        ),
    )


def _rows(pack: _Pack, region: int, prefix: int, pictures: int, rng: random.Random) -> tuple[Places, ...]:
    """One pack's region: rows to `spelled`, as in `Batch`. Without pictures a branch's own `<s>` is the prefix's."""
    rows, positions = np.full(region, len(trained_ids())), np.zeros(region, np.int64)
    segments, targets = np.zeros(region, np.int64), np.full(region, IGNORED)
    places, characters = np.full((region, 2), IGNORED), np.full((region, 2), IGNORED)
    texts = spelled(pack.scenes)
    start = 0
    for number, one in enumerate(pack.branches, 1):
        prompt = one.prompt if pictures else one.prompt[1:]
        prompt = tuple(_UNKNOWN if Control.EOS < token < PIECES and rng.random() < _FORGOTTEN else token for token in prompt)
        ids = (*prompt, *one.answer[:-1])
        end = start + len(ids)
        rows[start:end] = to_rows(ids)
        positions[start:end] = prefix + np.arange(len(ids))
        segments[start:end] = number
        first = start + len(prompt) - 1
        targets[first:end] = to_rows(one.answer)
        for offset, place in enumerate(one.places):
            if place is not None:
                places[first + offset] = int(place[1] // PATCH), int(place[0] // PATCH)
                characters[first + offset] = texts.get(place, (IGNORED, IGNORED))
        start = end
    return rows, positions, segments, targets, np.where((places >= 0) & (places < 24), places, IGNORED), characters


def to_rows(ids: Sequence[int]) -> NDArray[np.int64]:
    """Embedding rows of ids; the row of zeros for those that are not trained."""
    table, unknown = row_of(), len(trained_ids())
    return np.array([table.get(token, unknown) for token in ids], np.int64)
