"""Packs hold the server's own prompts, answers that follow them, and labels that agree with the pictures."""

import random
from collections.abc import Callable

import numpy as np
import pytest

from demo import batches
from demo.decoder import IMAGE_TOKENS
from demo.kinds import USUAL
from demo.language import token_ids
from demo.packing import Batch
from demo.reader import GLYPH_LABELS, GLYPHS, IGNORED, LABELS
from demo.style import four_fonts
from demo.vocabulary import trained_ids
from phiserve.chat.special_tokens import Control

IDS = np.array([*trained_ids(), -1])
"""Row -> id; -1 for the row of zeros."""


def one_picture(seed: int) -> Batch:
    return batches.one_picture(random.Random(seed), four_fonts(), USUAL, 2, 320)


def two_pictures(seed: int) -> Batch:
    return batches.two_pictures(random.Random(seed), four_fonts(), USUAL, 2, 256)


def question_first(seed: int) -> Batch:
    return batches.question_first(random.Random(seed), four_fonts(), USUAL, 2, 160)


def talk(seed: int) -> Batch:
    return batches.talk(random.Random(seed), 3, 384)


MAKERS = (one_picture, two_pictures, question_first, talk)
makers = pytest.mark.parametrize("make", MAKERS)


def branches(batch: Batch) -> list[tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]]:
    """Each branch: number of its pack, and its places in the region."""
    found = []
    for number, segments in enumerate(batch.segments):
        found += [(number, np.nonzero(segments == own)[0]) for own in range(1, segments.max() + 1)]
    return found


@makers
def test_the_same_seed_gives_the_same_batch(make: Callable[[int], Batch]) -> None:
    """Array by array; another seed gives another."""
    one, again, other = make(1), make(1), make(2)
    for name in Batch.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert one.region_rows.tolist() != other.region_rows.tolist()


@makers
@pytest.mark.parametrize("seed", range(4))
def test_answers_follow_prompts(make: Callable[[int], Batch], seed: int) -> None:
    """In a branch each target is the next token, the last one ends the turn, and all of them are trained."""
    batch = make(seed)
    assert len(branches(batch)) >= len(batch.segments)
    for pack, places in branches(batch):
        rows, targets = batch.region_rows[pack, places], batch.targets[pack, places]
        asked = np.nonzero(targets != IGNORED)[0]
        assert asked.tolist() == list(range(asked[0], len(places)))
        assert asked[0] > 1
        np.testing.assert_array_equal(rows[asked[1:]], targets[asked[:-1]])
        assert IDS[targets[-1]] == Control.END
        assert IDS[rows[asked[0]]] == Control.ASSISTANT
        assert targets[asked].max() < len(trained_ids())
        assert targets[asked].min() >= 0
    assert (batch.targets[batch.segments == 0] == IGNORED).all()
    assert (batch.places[batch.targets == IGNORED] == IGNORED).all()


@makers
@pytest.mark.parametrize("seed", range(2))
def test_positions_go_on_from_the_prefix(make: Callable[[int], Batch], seed: int) -> None:
    """As if each branch stood alone; branches follow each other without a gap."""
    batch = make(seed)
    prefix = batch.prefix_rows.shape[1]
    for pack, places in branches(batch):
        assert batch.positions[pack, places].tolist() == list(range(prefix, prefix + len(places)))
        assert places.tolist() == list(range(places[0], places[-1] + 1))


@makers
def test_prefix(make: Callable[[int], Batch]) -> None:
    """It ends with the last picture, each picture takes its tokens, and it is the same for all packs of a
    batch.
    """
    batch = make(0)
    assert (batch.prefix_rows == batch.prefix_rows[0]).all()
    assert IDS[batch.prefix_rows[0, 0]] == Control.BOS
    images = np.zeros(batch.prefix_rows.shape[1], bool)
    for start in batch.image_starts:
        images[start : start + IMAGE_TOKENS] = True
        assert IDS[batch.prefix_rows[0, start - 1]] not in (-1, Control.IMAGE)
    assert images.sum() == IMAGE_TOKENS * batch.crops.shape[1]
    assert len(images) == (batch.image_starts[-1] + IMAGE_TOKENS if batch.image_starts else 1)
    assert (batch.prefix_rows[0, ~images] < len(trained_ids())).all()


@pytest.mark.parametrize("make", [one_picture, two_pictures, question_first])
@pytest.mark.parametrize("seed", range(3))
def test_places_hold_the_next_character(make: Callable[[int], Batch], seed: int) -> None:
    """The patch that a place names holds the glyph that comes next, or one of too many."""
    batch = make(seed)
    numbers = {character: number for number, character in enumerate(GLYPHS, 1)}
    characters = {token_ids()[character]: character for character in GLYPHS}
    told = 0
    for pack, index in np.argwhere(batch.places[..., 0] != IGNORED):
        row, column = batch.places[pack, index]
        assert 0 <= column < 24
        character = characters.get(int(IDS[batch.targets[pack, index]]))
        if character is None:  # a word about a shape
            continue
        told += 1
        held = batch.labels[pack, :, row * 24 + column, GLYPH_LABELS]
        assert numbers[character] in held or IGNORED in held
        assert (batch.spelled[pack, index] >= 0).all()
    assert told > 20 or make is question_first


def test_filler_is_seen_by_none() -> None:
    """What is left of a region is in no branch and embeds as zeros."""
    batch = one_picture(3)
    rest = batch.segments == 0
    assert rest.any()
    assert (batch.region_rows[rest] == len(trained_ids())).all()


def test_talk_has_no_pictures() -> None:
    """Its prefix is `<s>` alone, and no array has a row for a picture."""
    batch = talk(0)
    assert IDS[batch.prefix_rows].tolist() == [[Control.BOS]] * 3
    assert (batch.image_starts, batch.crops.shape[1], batch.labels.shape[1], batch.roles.shape[1]) == (
        (),
        0,
        0,
        0,
    )


def test_shapes_of_arrays() -> None:
    """As the batch says, with two pictures a pack."""
    batch = two_pictures(0)
    assert batch.crops.shape == (2, 2, 336, 336, 3)
    assert batch.crops.dtype == np.uint8
    assert [array.shape for array in (batch.labels, batch.roles)] == [(2, 2, 576, LABELS), (2, 2, 144, 2)]
    assert batch.places.shape == batch.spelled.shape == (2, 256, 2)


def test_some_words_are_forgotten() -> None:
    """A few of a prompt's words are read as unknown ones, of its control tokens none."""
    drawn = [talk(seed) for seed in range(12)]
    asked = np.concatenate(
        [batch.region_rows[(batch.segments > 0) & (batch.targets == IGNORED)] for batch in drawn]
    )
    assert 0.01 < (asked == len(trained_ids())).mean() < 0.05
