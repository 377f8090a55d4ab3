"""Images are sent once: the sender cache in our process and the receiver cache in the engine's, both vLLM's
own, hold the same keys.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from vllm.multimodal.cache.lru import LruKeyReplicatedReceiverCache, LruKeyReplicatedSenderCache

from phiserve.engine.interface import Admission, Generation, PromptImage
from phiserve.engine.sender import ImageSender
from phiserve.vision.crops import Crops
from phiserve.vision.sizes import plan_crops

PLAN = plan_crops(10, 10, 1)  # one crop, 0.34 MB
ONE_CROP_GIB = 336 * 336 * 3 / 2**30


async def never() -> Crops:
    """Pixels that nobody should ask for."""
    raise AssertionError


def image(key: str) -> PromptImage:
    """An image of one crop."""
    return PromptImage(key, PLAN, 1, never)


def pixels(*keys: str) -> dict[str, Crops]:
    """Crops by key."""
    return {key: np.zeros((1, 336, 336, 3), np.uint8) for key in keys}


class Pair:
    """Our side and the engine's side, with room for `room` images of one crop."""

    def __init__(self, room: float) -> None:
        mm_config = SimpleNamespace(mm_processor_cache_gb=ONE_CROP_GIB * room)
        model_config = SimpleNamespace(get_multimodal_config=lambda: mm_config)
        self.held = LruKeyReplicatedSenderCache(model_config)
        self.engine = LruKeyReplicatedReceiverCache(model_config)
        renderer = SimpleNamespace(
            mm_processor_cache=self.held, model_config=model_config, update_mm_cache_stats=lambda: None
        )
        self.sender = ImageSender(renderer)

    def send(self, *keys: str) -> list[bool]:
        """Send one request, loading what is missing; which images' pixels went along."""
        images = tuple(map(image, keys))
        crops = pixels(*self.sender.missing(images, {}))
        rendered = self.sender.assemble(Generation("r", [], images, Admission(), 1), crops)
        items = rendered["mm_kwargs"]["image"]
        for key, item in zip(keys, items, strict=True):
            self.engine.touch_receiver_cache_item(key, item)
        for key, item in zip(keys, items, strict=True):
            assert self.engine.get_and_update_item(item, key) is not None  # raises where the engine lacks it
        return [item is not None for item in items]


def test_sent_once() -> None:
    """A second time, and a second time within one request, only the key travels."""
    pair = Pair(room=10)
    assert pair.send("a", "b") == [True, True]
    assert pair.send("b", "c", "a", "c") == [False, True, False, False]


@pytest.mark.parametrize("salt", [None, "salt"])
def test_the_salt_goes_along(salt: str | None) -> None:
    """vLLM finds cached prompts only under an equal one."""
    generation = Generation("r", [], (image("a"),), Admission(), 1, salt)
    assert Pair(room=10).sender.assemble(generation, pixels("a")).get("cache_salt") == salt


def test_eviction_keeps_both_sides_in_step() -> None:
    """What is evicted is sent again; the engine never lacks what is not sent."""
    pair = Pair(room=3.5)
    rng = np.random.default_rng(0)
    for _ in range(300):
        pair.send(*(f"k{number}" for number in rng.integers(0, 6, rng.integers(1, 4))))


def test_images_that_evict_each_other() -> None:
    """A request larger than the cache is loaded whole, held images included: none may vanish while it is
    assembled.
    """
    pair = Pair(room=2.2)
    pair.send("a")
    assert set(pair.sender.missing(tuple(map(image, "bcda")), {})) == {"a", "b", "c", "d"}
    pair.send("b", "c", "d", "a")


def test_forgotten_images_are_missing() -> None:
    """After a send that may not have arrived."""
    pair = Pair(room=10)
    pair.send("a", "b")
    pair.sender.forget([image("a")])
    assert set(pair.sender.missing(tuple(map(image, "ab")), {})) == {"a"}
    assert pair.send("a", "b") == [True, False]


def test_loaded_images_are_not_missing() -> None:
    """What has been loaded need not be loaded again."""
    assert Pair(room=10).sender.missing([image("a")], pixels("a")) == {}


def test_without_a_cache_everything_is_sent() -> None:
    """vLLM has none where its size is set to 0."""
    mm_config = SimpleNamespace(mm_processor_cache_gb=0)
    renderer = SimpleNamespace(
        mm_processor_cache=None, model_config=SimpleNamespace(get_multimodal_config=lambda: mm_config)
    )
    sender = ImageSender(renderer)
    images = (image("a"), image("a"))
    assert set(sender.missing(images, {})) == {"a"}
    rendered = sender.assemble(Generation("r", [], images, Admission(), 1), pixels("a"))
    assert [item is not None for item in rendered["mm_kwargs"]["image"]] == [True, True]
    sender.forget(images)


@pytest.mark.parametrize("loaded", [{}, pixels("b")])
def test_assembling_without_pixels_is_a_mistake(loaded: dict[str, Crops]) -> None:
    """`missing` must have been satisfied."""
    with pytest.raises(KeyError):
        Pair(room=10).sender.assemble(Generation("r", [], (image("a"),), Admission(), 1), loaded)
