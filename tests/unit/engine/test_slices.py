"""A picture is encoded a few crops at a time, each once."""

from collections.abc import Callable

import pytest
import torch

from phiserve.engine import slices as module
from phiserve.engine.slices import PictureSlices

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
def slices(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> PictureSlices:
    """One crop after each step."""
    monkeypatch.setattr(module, "SLICE_S", -1.0)
    slices = PictureSlices()
    assert not slices.are_served
    slices.serve(encoder)
    assert slices.are_served
    return slices


def step(slices: PictureSlices, *wanted: tuple[tuple[int, int], Callable[[], torch.Tensor]]) -> list[bool]:
    """A step in which these pictures are asked for; whether each was ready."""
    slices.begin_step()
    ready = []
    for picture, its_inputs in wanted:
        ready.append(slices.is_whole(picture))
        if not ready[-1]:
            slices.want(picture, its_inputs)
    slices.advance()
    return ready


def test_a_crop_after_each_step(slices: PictureSlices, encoder: Encoder) -> None:
    """Until all have been seen; then it can be taken, once."""
    wanted = FIRST, inputs(10, 3)
    assert [step(slices, wanted) for _ in range(5)] == [[False], [False], [False], [True], [True]]
    assert encoder.calls == 3
    seen = slices.take(FIRST)
    assert seen is not None
    assert seen.is_whole
    assert torch.cat(seen.features).flatten().tolist() == [10, 11, 12]
    assert slices.take(FIRST) is None


def test_small_towers_see_many_crops_at_once(slices: PictureSlices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE_S", 60.0)
    wanted = FIRST, inputs(0, 12)
    assert [step(slices, wanted) for _ in range(2)] == [[False], [True]]


def test_what_is_half_seen_can_be_taken(slices: PictureSlices) -> None:
    """When nobody else is left to wait for, the rest is seen at once."""
    step(slices, (FIRST, inputs(10, 3)))
    seen = slices.take(FIRST)
    assert seen is not None
    assert (seen.num_seen, seen.is_whole, len(seen.inputs)) == (1, False, 3)


def test_only_what_is_wanted_is_seen(slices: PictureSlices, encoder: Encoder) -> None:
    """A request that has gone costs nothing more; the first that wants has its way, and another one begins anew."""
    step(slices, (FIRST, inputs(10, 3)), (SECOND, inputs(20, 3)))
    step(slices)
    assert encoder.calls == 1
    step(slices, (SECOND, inputs(20, 3)))
    assert slices.take(FIRST) is None
    seen = slices.take(SECOND)
    assert seen is not None
    assert torch.cat(seen.features).tolist() == [[20]]


def test_what_is_ready_stays_until_it_is_taken(slices: PictureSlices) -> None:
    """A picture that waits for room in the engine is not pushed out by the next one of its request."""
    first, second = (FIRST, inputs(10, 1)), (SECOND, inputs(20, 1))
    step(slices, first)
    assert step(slices, first, second) == [True, False]
    assert slices.take(FIRST) is not None
    assert step(slices, second) == [False]
    assert step(slices, second) == [True]


def test_who_waits_for_room_does_not_hold_up_who_has_it(slices: PictureSlices) -> None:
    """A running request that wants a picture comes before one that is ready and can't be admitted: it may hold the room."""
    first, second = (FIRST, inputs(10, 1)), (SECOND, inputs(20, 1))
    step(slices, first)
    assert step(slices, second, first) == [False, True]
    assert step(slices, second, first) == [True, False]
    assert slices.take(SECOND) is not None


def test_nothing_happens_without_a_worker() -> None:
    """Where it is in another process, vLLM encodes as ever."""
    slices = PictureSlices()
    step(slices, (FIRST, inputs(10, 1)))
    assert slices.take(FIRST) is None
