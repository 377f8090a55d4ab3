"""An image is encoded in slices before steps: each part of CLIP once, and no slice longer than it may be."""

import gc
import weakref
from collections.abc import Callable

import pytest
import torch

from phiserve.plugin.encoder_pace import EncoderPace
from phiserve.plugin.partial_encoding import MAX_IMAGES_KEPT, Encoding, ImageId, PartialEncoder

FIRST, SECOND = (1, 1), (2, 2)
PARTS_S = (0.004, 0.008, 0.012)
CROP_S = sum(PARTS_S) + 1e-6


class Clock(EncoderPace):
    """Time passes only while the tower works. Crops go through it one by one, or as many as is said."""

    def __init__(self, together: int = 1) -> None:
        super().__init__()
        self.time_s = 0.0
        self.together = together

    def now_s(self) -> float:
        return self.time_s

    def crops_together(self, waiting: int, slice_s: float) -> int:
        return min(waiting, self.together)


class CountingTower:
    """Stands for CLIP, with parts that take 4, 8 and 12 ms a crop: features are the crops' own numbers.

    `passes` has the number of crops of each pass, `hidden` refers to what the last one holds meanwhile.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.passes: list[int] = []
        self.hidden: weakref.ref[torch.Tensor] | None = None

    def __call__(self, crops: torch.Tensor) -> Encoding:
        hidden = crops.clone()
        self.hidden = weakref.ref(hidden)
        for number, seconds in enumerate(PARTS_S):
            yield f"part {number}"
            if not number:
                self.passes.append(len(crops))
            self._clock.time_s += seconds * len(crops)
        return hidden


def inputs(
    first: int, count: int, clock: Clock | None = None, seconds: float = 0.0
) -> Callable[[], Encoding]:
    """Makes the input of an image of `count` crops, numbered from `first`, in two parts of some seconds."""

    def prepare() -> Encoding:
        for number in range(2):
            yield f"preparing {number}"
            if clock is not None:
                clock.time_s += seconds
        return torch.arange(first, first + count).view(count, 1)

    return prepare


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tower(clock: Clock) -> CountingTower:
    return CountingTower(clock)


def encoder_of(clock: Clock, tower: CountingTower, slice_s: float) -> PartialEncoder:
    """One that works with this tower, and has measured it, as after a first image."""
    encoder = PartialEncoder(clock)
    assert not encoder.has_worker
    encoder.start(tower, slice_s)
    assert encoder.has_worker
    step(encoder, ((0, 0), inputs(0, 1)))
    while not encoder.is_complete((0, 0)):
        step(encoder, ((0, 0), inputs(0, 1)))
    assert encoder.take((0, 0)) is not None
    tower.passes.clear()
    return encoder


@pytest.fixture
def encoder(clock: Clock, tower: CountingTower) -> PartialEncoder:
    """One crop before each step: its three parts fit exactly."""
    return encoder_of(clock, tower, CROP_S)


def step(encoder: PartialEncoder, *requested: tuple[ImageId, Callable[[], Encoding]]) -> list[bool]:
    """A step for which these images are asked for; whether each was complete."""
    encoder.begin_step()
    ready = []
    for image, its_inputs in requested:
        ready.append(encoder.is_complete(image))
        if not ready[-1]:
            encoder.request(image, its_inputs)
    encoder.advance()
    return ready


def test_a_crop_before_each_step(encoder: PartialEncoder, tower: CountingTower) -> None:
    """Until all have been encoded; then the image can be taken, once."""
    first = FIRST, inputs(10, 3)
    assert [step(encoder, first) for _ in range(5)] == [[False], [False], [False], [True], [True]]
    assert tower.passes == [1, 1, 1]
    seen = encoder.take(FIRST)
    assert seen is not None
    assert seen.is_complete
    assert torch.cat(seen.features).flatten().tolist() == [10, 11, 12]
    assert encoder.take(FIRST) is None


def test_a_fast_tower_encodes_many_crops_before_a_step(clock: Clock, tower: CountingTower) -> None:
    encoder = encoder_of(clock, tower, 12 * CROP_S)
    first = FIRST, inputs(0, 12)
    assert [step(encoder, first) for _ in range(2)] == [[False], [True]]


@pytest.mark.parametrize("slice_s", [0.005, 0.012, 0.02, 0.03, 0.1])
@pytest.mark.parametrize("together", [1, 2])
def test_no_slice_is_longer(slice_s: float, together: int, clock: Clock, tower: CountingTower) -> None:
    """But for a single part that is: a slice ends before the part that would go beyond it."""
    encoder, clock.together = encoder_of(clock, tower, slice_s), together
    slices, longest_s = [], max(slice_s, together * max(PARTS_S))
    for number in range(4):  # the first shows how long such passes take
        image = (number, number), inputs(0, 6, clock, 0.001)
        while not encoder.is_complete(image[0]):
            began_s = clock.time_s
            step(encoder, image)
            slices.append(clock.time_s - began_s)
        seen = encoder.take(image[0])
        assert seen is not None
        assert torch.cat(seen.features).flatten().tolist() == list(range(6))
    measured = slices[len(slices) // 4 :]
    assert max(measured) <= longest_s + 1e-9
    assert sum(slices) == pytest.approx(4 * (6 * sum(PARTS_S) + 0.002))
    assert min(measured[:-1]) > 0


def test_what_an_image_takes_to_begin_counts(clock: Clock, tower: CountingTower) -> None:
    """Its crops are normalised and its global view made in slices, too."""
    encoder = encoder_of(clock, tower, CROP_S)
    slices: list[float] = []
    for number in range(20):  # what was measured before counts less and less
        slices.clear()
        image = (number, number), inputs(10, 1, clock, 0.015)
        while not encoder.is_complete(image[0]):
            began_s = clock.time_s
            step(encoder, image)
            slices.append(clock.time_s - began_s)
        encoder.take(image[0])
    assert slices == pytest.approx([0.015, 0.015 + PARTS_S[0], PARTS_S[1] + PARTS_S[2]])


def test_an_incomplete_image_can_be_taken(encoder: PartialEncoder) -> None:
    """When no answer is running any more, the model encodes the rest at once, behind the crop that has been
    begun.
    """
    step(encoder, (FIRST, inputs(10, 3)))
    seen = encoder.take(FIRST)
    assert seen is not None
    assert (seen.num_encoded, seen.is_complete, len(seen.finish_begun())) == (1, False, 1)


def test_short_steps_end_between_parts(encoder: PartialEncoder, tower: CountingTower) -> None:
    """A crop that has been begun is not begun again, by whomever it is finished."""
    encoder.steps_are_short = True
    first = FIRST, inputs(10, 2)
    assert [step(encoder, first) for _ in range(7)] == [[False]] * 6 + [[True]]
    assert tower.passes == [1, 1]
    second = SECOND, inputs(20, 2)
    for _ in range(5):
        step(encoder, second)
    seen = encoder.take(FIRST), encoder.take(SECOND)
    for one in seen:
        assert one is not None
        one.finish_begun()
        assert one.is_complete
    assert [one and torch.cat(one.features).flatten().tolist() for one in seen] == [[10, 11], [20, 21]]
    assert tower.passes == [1, 1, 1, 1]


def test_where_nobody_waits_slices_are_long(encoder: PartialEncoder) -> None:
    """As long as who comes next may wait; unless steps are short in any case."""
    encoder.nobody_waits = True
    first = FIRST, inputs(10, 9)
    assert [step(encoder, first) for _ in range(2)] == [[False], [True]]
    encoder.steps_are_short = True
    second = SECOND, inputs(20, 2)
    assert [step(encoder, second) for _ in range(2)] == [[False], [False]]


@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_forgotten_is_freed(parts: int, encoder: PartialEncoder, tower: CountingTower) -> None:
    """In the midst of a crop, too; asked for again, the image is encoded from its beginning."""
    encoder.steps_are_short = True  # a part at a time
    for _ in range(parts):
        step(encoder, (FIRST, inputs(10, 3)))
    assert encoder.images == {FIRST}
    assert tower.hidden is not None
    assert tower.hidden() is not None
    encoder.forget(FIRST)
    gc.collect()
    assert tower.hidden() is None
    assert encoder.images == frozenset()
    encoder.advance()  # the step that had asked for it
    assert encoder.images == frozenset()
    encoder.steps_are_short = False
    assert [step(encoder, (FIRST, inputs(10, 3))) for _ in range(4)] == [[False]] * 3 + [[True]]


def test_only_the_first_requested_is_encoded(encoder: PartialEncoder, tower: CountingTower) -> None:
    """An image that nobody asks for any more costs nothing; one is active in a step; the features of a paused
    one are kept.
    """
    step(encoder, (FIRST, inputs(10, 3)), (SECOND, inputs(20, 3)))
    step(encoder)
    assert tower.passes == [1]
    step(encoder, (SECOND, inputs(20, 3)))
    step(encoder, (FIRST, inputs(10, 3)))
    seen = encoder.take(FIRST), encoder.take(SECOND)
    assert [one and torch.cat(one.features).flatten().tolist() for one in seen] == [[10, 11], [20]]


def test_a_complete_image_stays_until_it_is_taken(encoder: PartialEncoder) -> None:
    """Also when another one is begun in the very step that takes it, by a request that comes first."""
    first, second = (FIRST, inputs(10, 1)), (SECOND, inputs(20, 2))
    step(encoder, first)
    assert step(encoder, second, first) == [False, True]
    assert encoder.take(FIRST) is not None
    assert [step(encoder, second), step(encoder, second)] == [[False], [True]]


def test_only_a_few_are_kept(encoder: PartialEncoder) -> None:
    """The least recently asked for makes room."""
    names = [(number, number) for number in range(MAX_IMAGES_KEPT + 1)]
    for name in names[:-1]:
        step(encoder, (name, inputs(0, 1)))
    assert step(encoder, (names[0], inputs(0, 1)), (names[-1], inputs(0, 1))) == [True, False]
    assert [encoder.take(name) is None for name in names] == [False, True, *[False] * (MAX_IMAGES_KEPT - 1)]


def test_nothing_happens_without_a_worker() -> None:
    """Where the worker is in another process, vLLM encodes whole images."""
    encoder = PartialEncoder()
    step(encoder, (FIRST, inputs(10, 1)))
    assert encoder.take(FIRST) is None
