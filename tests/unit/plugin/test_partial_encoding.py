"""An image is encoded a few crops before each step, each crop once."""

from collections.abc import Callable

import pytest
import torch

from phiserve.plugin import partial_encoding as module
from phiserve.plugin.partial_encoding import MAX_IMAGES_KEPT, Encoding, ImageId, PartialEncoder

FIRST, SECOND = (1, 1), (2, 2)


class CountingTower:
    """Stands for CLIP, with three layers: features are the crops' own numbers."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, crops: torch.Tensor) -> Encoding:
        self.calls += 1
        yield
        yield
        return crops.clone()


def inputs(first: int, count: int) -> Callable[[], torch.Tensor]:
    """Makes the input of an image of `count` crops, numbered from `first`."""
    return lambda: torch.arange(first, first + count).view(count, 1)


@pytest.fixture
def tower() -> CountingTower:
    return CountingTower()


@pytest.fixture
def encoder(tower: CountingTower, monkeypatch: pytest.MonkeyPatch) -> PartialEncoder:
    """One crop before each step."""
    monkeypatch.setattr(module, "ENCODING_TIME_S", -1.0)
    encoder = PartialEncoder()
    assert not encoder.has_worker
    encoder.start(tower)
    assert encoder.has_worker
    return encoder


def step(encoder: PartialEncoder, *requested: tuple[ImageId, Callable[[], torch.Tensor]]) -> list[bool]:
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
    assert tower.calls == 3
    seen = encoder.take(FIRST)
    assert seen is not None
    assert seen.is_complete
    assert torch.cat(seen.features).flatten().tolist() == [10, 11, 12]
    assert encoder.take(FIRST) is None


def test_a_fast_tower_encodes_many_crops_before_a_step(
    encoder: PartialEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENCODING_TIME_S", 60.0)
    first = FIRST, inputs(0, 12)
    assert [step(encoder, first) for _ in range(2)] == [[False], [True]]


def test_an_incomplete_image_can_be_taken(encoder: PartialEncoder) -> None:
    """When no answer is running any more, the model encodes the rest at once."""
    step(encoder, (FIRST, inputs(10, 3)))
    seen = encoder.take(FIRST)
    assert seen is not None
    assert (seen.num_encoded, seen.is_complete, len(seen.inputs)) == (1, False, 3)


def test_short_steps_end_between_layers(encoder: PartialEncoder, tower: CountingTower) -> None:
    """A crop that has been begun is not begun again, by whomever it is finished."""
    encoder.steps_are_short = True
    first = FIRST, inputs(10, 2)
    assert [step(encoder, first) for _ in range(7)] == [[False]] * 6 + [[True]]
    assert tower.calls == 2
    second = SECOND, inputs(20, 2)
    for _ in range(5):
        step(encoder, second)
    seen = encoder.take(FIRST), encoder.take(SECOND)
    for one in seen:
        assert one is not None
        one.finish_crop()
        assert one.is_complete
    assert [one and torch.cat(one.features).flatten().tolist() for one in seen] == [[10, 11], [20, 21]]
    assert tower.calls == 4


def test_only_the_first_requested_is_encoded(encoder: PartialEncoder, tower: CountingTower) -> None:
    """An image that nobody asks for any more costs nothing; one is active in a step; the features of a paused
    one are kept.
    """
    step(encoder, (FIRST, inputs(10, 3)), (SECOND, inputs(20, 3)))
    step(encoder)
    assert tower.calls == 1
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
