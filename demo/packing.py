"""Scenes and branches as the arrays of a batch (see `demo.decoder`)."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from demo.augment import augmented
from demo.decoder import BLOCKS, IMAGE_TOKENS
from demo.language import Branch, encode_turns
from demo.reader import IGNORED, LABELS, patch_labels
from demo.roles import block_roles, spelled
from demo.scene import Scene
from demo.vocabulary import row_of, trained_ids
from phiserve.chat.special_tokens import ORDINARY_TOKENS, Control
from phiserve.checkpoint.demo_tower import PATCH, SIDE
from phiserve.core import Turn
from phiserve.vision.sizes import CROP_SIDE

_UNKNOWN, _FORGOTTEN = -1, 0.03
"""Of a prompt's words, this share is read as ones that are not known, so that real unknown ones do no
harm."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of a batch of B packs with n pictures each, prefix length P and region length R.

    `crops` (B, n, 336, 336, 3) uint8; `prefix_rows` (B, P), `region_rows`, `positions`, `segments` (B, R);
    `targets` (B, R): rows or IGNORED; `places` (B, R, 2): row and column of the patch that the next character
    stands in; `spelled` (B, R, 2): its text's role and its number in it; `labels` (B, n, 576, LABELS): of
    patches; `roles` (B, n, 144, 2): of blocks.
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
class Pack:
    """Pictures, and what is asked about them."""

    scenes: tuple[Scene, ...]
    branches: list[Branch]


def batch_of(
    packs: list[Pack],
    turns: Sequence[Turn] | None,
    region: int,
    rng: random.Random,
    forgotten: float = _FORGOTTEN,
) -> Batch:
    """Arrays of packs whose prefix ends with the last picture of `turns`; without pictures it is what all
    prompts begin with. `forgotten`: of the words behind it, which share is read as unknown ones.
    """
    prefix, starts = common_beginning([one.prompt for pack in packs for one in pack.branches]), []
    if turns is not None:
        prefix = ()
        for segment in encode_turns(tuple(turns))[:-1]:
            starts.append(len(prefix) + len(segment))
            prefix = (*prefix, *segment, *[Control.IMAGE.value] * IMAGE_TOKENS)
    regions = [_region(pack, region, len(prefix), len(starts), rng, forgotten) for pack in packs]
    region_rows, positions, segments, targets, places, texts = (
        np.stack(arrays) for arrays in zip(*regions, strict=True)
    )
    pictures = [(number, scene) for pack in packs for number, scene in enumerate(pack.scenes)]
    crops = [augmented(scene.canvas, rng) for _, scene in pictures]
    labels = [patch_labels(scene.canvas) for _, scene in pictures]
    roles = [block_roles(scene, number) for number, scene in pictures]
    shape = len(packs), len(starts)
    return Batch(
        crops=np.array(crops, np.uint8).reshape(*shape, CROP_SIDE, CROP_SIDE, 3),
        prefix_rows=np.array([to_rows(prefix)] * len(packs)),
        image_starts=tuple(starts),
        region_rows=region_rows,
        positions=positions,
        segments=segments,
        targets=targets,
        places=places,
        spelled=texts,
        labels=np.array(labels, np.int64).reshape(*shape, SIDE * SIDE, LABELS),
        roles=np.array(roles, np.int64).reshape(*shape, BLOCKS * BLOCKS, 2),
    )


def _region(
    pack: Pack, region: int, prefix: int, pictures: int, rng: random.Random, forgotten: float
) -> tuple[Places, ...]:
    """One pack's region: `region_rows` to `spelled`, as in `Batch`. Without pictures a branch's prompt holds
    the prefix.
    """
    rows, positions = np.full(region, len(trained_ids())), np.zeros(region, np.int64)
    segments, targets = np.zeros(region, np.int64), np.full(region, IGNORED)
    places, characters = np.full((region, 2), IGNORED), np.full((region, 2), IGNORED)
    texts = spelled(pack.scenes)
    start = 0
    for number, one in enumerate(pack.branches, 1):
        prompt = one.prompt if pictures else one.prompt[prefix:]
        prompt = tuple(
            _UNKNOWN if Control.EOS < token < ORDINARY_TOKENS and rng.random() < forgotten else token
            for token in prompt
        )
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
    return (
        rows,
        positions,
        segments,
        targets,
        np.where((places >= 0) & (places < SIDE), places, IGNORED),
        characters,
    )


def common_beginning(prompts: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """What all prompts begin with, but for the last token of each."""
    first, last = min(prompts), max(prompts)
    longest = min(map(len, prompts)) - 1
    same = next((at for at in range(longest) if first[at] != last[at]), longest)
    return first[:same]


def to_rows(ids: Sequence[int]) -> NDArray[np.int64]:
    """Embedding rows of ids; the row of zeros for those that are not trained."""
    table, unknown = row_of(), len(trained_ids())
    return np.array([table.get(token, unknown) for token in ids], np.int64)
