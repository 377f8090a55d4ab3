"""Packs of decisions: prompts as they were made for the server's own, one label each, and which option is
right.
"""

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from demo import batches_letters
from demo.batches_letters import ANY, SHAPES, LetteredBatch
from demo.decoder import IMAGE_TOKENS
from demo.lettered import Lettered, labels, lettered
from demo.packing import to_rows
from demo.posed import MOST_OPTIONS
from demo.reader import IGNORED
from demo.style import four_fonts
from demo.vocabulary import row_of

LABELS = [row_of()[token] for token in labels().ids[:MOST_OPTIONS]]


def pictures(seed: int) -> LetteredBatch:
    return batches_letters.pictures(random.Random(seed), four_fonts(), ANY, 2, 320)


def texts(seed: int) -> LetteredBatch:
    return batches_letters.texts(random.Random(seed), 3, 400, simple=0.5)


makers = pytest.mark.parametrize("make", [pictures, texts])


@makers
def test_the_same_seed_gives_the_same_batch(make: Callable[[int], LetteredBatch]) -> None:
    """Another seed gives another."""
    one, again, other = make(1), make(1), make(2)
    for name in type(one.batch).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.batch, name), getattr(again.batch, name))
    np.testing.assert_array_equal(one.options, again.options)
    assert one.batch.region_rows.tolist() != other.batch.region_rows.tolist()


@makers
@pytest.mark.parametrize("seed", range(3))
def test_branches(make: Callable[[int], LetteredBatch], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a prompt as it was made, at positions that go on from the prefix; its last token is answered by
    the label, and at the ends of options' lines stands whether they are right. No word is forgotten.
    """
    made: list[Lettered] = []

    def keep(*arguments: object) -> Lettered:
        made.append(lettered(*arguments))  # type: ignore[arg-type] # as it was called
        return made[-1]

    monkeypatch.setattr(batches_letters, "lettered", keep)
    whole = make(seed)
    batch, known = whole.batch, {one.prompt: one for one in made}
    prefix, found = batch.prefix_rows.shape[1], 0
    by_rows = {tuple(to_rows(prompt)): one for prompt, one in known.items()}
    for row, segments in enumerate(batch.segments):
        for own in range(1, segments.max() + 1):
            places = np.nonzero(segments == own)[0]
            assert batch.positions[row, places].tolist() == list(range(prefix, prefix + len(places)))
            rows = batch.region_rows[row, places]
            if not batch.image_starts:
                rows = np.concatenate([batch.prefix_rows[row], rows])
            one = by_rows[tuple(rows)]
            targets, options = batch.targets[row, places], whole.options[row, places]
            assert (targets[:-1] == IGNORED).all()
            assert targets[-1] == row_of()[one.answer[0]] == LABELS[one.right]
            ends = [len(places) - 1 - offset for offset in one.ends]
            assert np.nonzero(options != IGNORED)[0].tolist() == ends
            assert options[ends].tolist() == [place == one.right for place in range(len(ends))]
            found += 1
    assert found > 4


def test_the_prefix_ends_with_the_picture() -> None:
    """All that is asked stands behind it."""
    batch = pictures(0).batch
    (start,) = batch.image_starts
    assert batch.prefix_rows.shape[1] == start + IMAGE_TOKENS
    assert batch.crops.shape == (2, 1, 336, 336, 3)


def test_no_place_is_preferred() -> None:
    """The right option stands at each as often, whatever the number of options."""
    rights: dict[int, Counter[int]] = {number: Counter() for number in range(2, MOST_OPTIONS + 1)}
    for seed in range(24):
        whole = batches_letters.texts(random.Random(seed), 6, 512, simple=0.7)
        for row, segments in enumerate(whole.batch.segments):
            for own in range(1, segments.max() + 1):
                options = whole.options[row, segments == own]
                shown = options[options != IGNORED]
                rights[len(shown)][int(shown.argmax())] += 1
    for number in (2, 3, 4):
        shares = [rights[number][place] / rights[number].total() for place in range(number)]
        assert min(shares) > 0.7 / number, (number, shares)
    assert rights[MOST_OPTIONS].total() > 5


def test_orders() -> None:
    """Some questions are asked again with their options in another order."""
    rng = random.Random(0)
    again = 0
    for seed in range(30):
        pose = lambda seed=seed: batches_letters._about_text(random.Random(seed), 1.0)  # noqa: E731
        ask = batches_letters.asking(rng, pose)
        first, second = ask(), ask()
        again += sorted(first.prompt) == sorted(second.prompt) and first.prompt != second.prompt
    assert 4 < again < 24


def test_pictures_of_one_kind() -> None:
    """Where they alone are asked about."""
    batch = batches_letters.pictures(random.Random(0), four_fonts(), SHAPES, 2, 200).batch
    assert not (batch.labels[..., :3] > 0).any()
