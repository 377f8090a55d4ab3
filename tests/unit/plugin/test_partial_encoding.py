"""An image is encoded a few crops at a time, each once."""

from collections.abc import Callable

import pytest
import torch

from phiserve.engine import slices as module
from phiserve.plugin.partial_encoding import MOST_BEGUN, ImageSlices

FIRST, SECOND = (1, 1), (2, 2)


class Encoder:
    """Features are the crops' own numbers."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return crops.clone()


def inputs(first: int, count: int) -> Callable[[], torch.Tensor]:
    return lambda: torch.arange(first, first + count).view(count, 1)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def slices(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> ImageSlices:
    """One crop before each step."""
    monkeypatch.setattr(module, "SLICE_S", -1.0)
    slices = ImageSlices()
    assert not slices.are_served
    slices.serve(encoder)
    assert slices.are_served
    return slices


def step(slices: ImageSlices, *wanted: tuple[tuple[int, int], Callable[[], torch.Tensor]]) -> list[bool]:
    """A step in which these images are asked for; whether each was ready."""
    slices.begin_step()
    ready = []
    for image, its_inputs in wanted:
        ready.append(slices.is_whole(image))
        if not ready[-1]:
            slices.want(image, its_inputs)
    slices.advance()
    return ready


def test_a_crop_before_each_step(slices: ImageSlices, encoder: Encoder) -> None:
    """Until all have been seen; then it can be taken, once."""
    wanted = FIRST, inputs(10, 3)
    assert [step(slices, wanted) for _ in range(5)] == [[False], [False], [False], [True], [True]]
    assert encoder.calls == 3
    seen = slices.take(FIRST)
    assert seen is not None
    assert seen.is_whole
    assert torch.cat(seen.features).flatten().tolist() == [10, 11, 12]
    assert slices.take(FIRST) is None


def test_small_towers_see_many_crops_at_once(slices: ImageSlices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_S", 60.0)
    wanted = FIRST, inputs(0, 12)
    assert [step(slices, wanted) for _ in range(2)] == [[False], [True]]


def test_what_is_half_seen_can_be_taken(slices: ImageSlices) -> None:
    """When nobody else is left to wait for, the rest is seen at once."""
    step(slices, (FIRST, inputs(10, 3)))
    seen = slices.take(FIRST)
    assert seen is not None
    assert (seen.num_seen, seen.is_whole, len(seen.inputs)) == (1, False, 3)


def test_only_what_is_wanted_is_seen(slices: ImageSlices, encoder: Encoder) -> None:
    """A request that has gone costs nothing more; the first that wants has its way; what was seen of another
    is kept.
    """
    step(slices, (FIRST, inputs(10, 3)), (SECOND, inputs(20, 3)))
    step(slices)
    assert encoder.calls == 1
    step(slices, (SECOND, inputs(20, 3)))
    step(slices, (FIRST, inputs(10, 3)))
    seen = slices.take(FIRST), slices.take(SECOND)
    assert [one and torch.cat(one.features).flatten().tolist() for one in seen] == [[10, 11], [20]]


def test_what_is_ready_stays_until_it_is_taken(slices: ImageSlices) -> None:
    """Also when another one is begun in the very step that takes it, by a request that comes first."""
    first, second = (FIRST, inputs(10, 1)), (SECOND, inputs(20, 2))
    step(slices, first)
    assert step(slices, second, first) == [False, True]
    assert slices.take(FIRST) is not None
    assert [step(slices, second), step(slices, second)] == [[False], [True]]


def test_only_a_few_are_kept(slices: ImageSlices) -> None:
    """The one that nobody has asked for longest is pushed out."""
    names = [(number, number) for number in range(MOST_BEGUN + 1)]
    for name in names[:-1]:
        step(slices, (name, inputs(0, 1)))
    assert step(slices, (names[0], inputs(0, 1)), (names[-1], inputs(0, 1))) == [True, False]
    assert [slices.take(name) is None for name in names] == [False, True, *[False] * (MOST_BEGUN - 1)]


def test_nothing_happens_without_a_worker() -> None:
    """Where it is in another process, vLLM encodes as ever."""
    slices = ImageSlices()
    step(slices, (FIRST, inputs(10, 1)))
    assert slices.take(FIRST) is None
