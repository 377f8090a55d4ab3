"""The send-once protocol: an image the engine holds is named by its key and not sent again.

vLLM keeps the images in a cache in the engine's process, the receiver cache, and in ours a sender cache with
their keys and sizes, without pixels, which tells what the receiver holds. Both evict in the same order only
if each look-up here is followed by the matching message, so `assemble` runs without an await, and its result
must be sent at once.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from prometheus_client import Counter
from vllm.inputs.engine import MultiModalInput, mm_input
from vllm.multimodal.inputs import MultiModalKwargsItem, MultiModalKwargsItems, PlaceholderRange
from vllm.renderers import BaseRenderer

from phiserve.engine.interface import Generation, PromptImage
from phiserve.plugin.processor import image_item

SENT = Counter("phiserve_images_sent", "Images sent to the engine.")
REUSED = Counter("phiserve_images_reused", "Images the engine already held.")
SENT_BYTES = Counter("phiserve_image_bytes_sent", "Bytes of crops sent to the engine.")

CropsByKey = Mapping[str, NDArray[np.uint8]]
"""Loaded pixels, (n, 336, 336, 3) for each image's key."""


class ImageSender:
    """Assembles engine inputs, sending each image's pixels only when the engine lacks them."""

    def __init__(self, renderer: BaseRenderer) -> None:
        self._renderer = renderer
        capacity_gib: float = renderer.model_config.get_multimodal_config().mm_processor_cache_gb
        self._capacity_bytes = int(capacity_gib * 2**30 * 0.95)  # sizes and ids take some beside the pixels

    def missing(self, images: Iterable[PromptImage], loaded: CropsByKey) -> dict[str, PromptImage]:
        """The images whose pixels must be loaded before `assemble`, by key, except those in `loaded`.

        Where the request's images exceed the cache, inserting one may evict another: all must be loaded then.
        """
        by_key = {image.key: image for image in images}
        crowded = sum(image.plan.num_bytes for image in by_key.values()) > self._capacity_bytes
        return {
            key: image
            for key, image in by_key.items()
            if key not in loaded and (crowded or not self._holds(key))
        }

    def assemble(self, generation: Generation, crops: CropsByKey) -> MultiModalInput:
        """Build the engine's input and update the sender cache. Send the result at once.

        `crops` must hold the pixels of all `missing` images. Raises KeyError where it does not.
        """
        images = generation.images
        return mm_input(
            prompt_token_ids=generation.prompt_ids,
            mm_kwargs=MultiModalKwargsItems({"image": self._items(images, crops)}),
            mm_hashes={"image": [image.key for image in images]},
            mm_placeholders={
                "image": [PlaceholderRange(image.offset, image.plan.num_tokens) for image in images]
            },
            cache_salt=generation.cache_salt,
        )

    def forget(self, images: Iterable[PromptImage]) -> None:
        """Drop images from the sender cache when it may no longer agree with the receiver cache.

        The next request sends them anew.
        """
        if (cache := self._renderer.mm_processor_cache) is not None:
            for image in images:
                cache.invalidate(image.key)

    def _holds(self, key: str) -> bool:
        cache = self._renderer.mm_processor_cache
        return cache is not None and cache.is_cached_item(key)

    def _items(self, images: tuple[PromptImage, ...], crops: CropsByKey) -> list[MultiModalKwargsItem | None]:
        """What is sent of each image: its pixels, or None where the engine holds them."""
        cache = self._renderer.mm_processor_cache
        if cache is None:
            return [_item(image, crops) for image in images]
        # All keys are touched first, so that inserting one image cannot evict another of the same request.
        for image in images:
            cache.touch_sender_cache_item(image.key)
        try:
            items = [self._unless_held(image, crops) for image in images]
        finally:
            cache.release_sender_touches()
        self._renderer.update_mm_cache_stats()
        REUSED.inc(items.count(None))
        return items

    def _unless_held(self, image: PromptImage, crops: CropsByKey) -> MultiModalKwargsItem | None:
        """The image with its pixels, which the sender cache notes, or None where it was noted before."""
        cache = self._renderer.mm_processor_cache
        if self._holds(image.key):
            return cache.get_and_update_item(None, image.key)[0]
        return cache.get_and_update_item((_item(image, crops), []), image.key)[0]


def _item(image: PromptImage, crops: CropsByKey) -> MultiModalKwargsItem:
    pixels = crops[image.key]
    SENT.inc()
    SENT_BYTES.inc(pixels.nbytes)
    return image_item(torch.from_numpy(pixels), image.plan.padded, image.key)
