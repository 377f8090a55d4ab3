"""An image seen by CLIP a few crops at a time, between the steps of answers that are being written.

vLLM encodes an image whole, in the step that reads its first token: on a CPU every running answer stands
still for seconds. Here the scheduler holds such a step back (`plugin.scheduler`) while the worker encodes a
few crops before each step of the others (`plugin.worker`), and the model takes what has been encoded
(`plugin.model`). All three live in one process on CPU.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

ImageId = tuple[int, ...]
"""An image's cache key, as numbers that travel with its pixels (`plugin.processor.image_item`)."""

Encode = Callable[[torch.Tensor], torch.Tensor]
"""Crops (n, 3, 336, 336) -> features (n, 576, 1024)."""

SLICE_S = 0.01
"""Seconds after which no further crop is begun: a crop is the least, small towers see many."""


MOST_BEGUN = 3
"""Images kept at once, some 50 MB each with their features; those of requests that have gone are pushed out
by others."""


@dataclass(slots=True)
class SeenCrops:
    """What CLIP is to see of an image, float32 (n, 3, 336, 336), and its features of the first of them, each
    (k, 576, 1024).
    """

    inputs: torch.Tensor
    features: list[torch.Tensor] = field(default_factory=list)

    @property
    def num_seen(self) -> int:
        """Crops with features."""
        return sum(map(len, self.features))

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to be seen."""
        return self.num_seen == len(self.inputs)


class ImageSlices:
    """Images that are being encoded: one is worked at, others wait, seen in part, or whole until there is
    room for them.
    """

    def __init__(self) -> None:
        self._encode: Encode | None = None
        self._begun: dict[ImageId, SeenCrops] = {}  # what was not asked for longest comes first
        self._wanted: tuple[ImageId, Callable[[], torch.Tensor]] | None = None

    @property
    def are_served(self) -> bool:
        """Whether there is a worker in this process that advances them."""
        return self._encode is not None

    def serve(self, encode: Encode) -> None:
        """`encode` sees crops from now on. Whoever calls this calls `advance` before each step, once it is
        scheduled.
        """
        self._encode = encode

    def begin_step(self) -> None:
        """Forget who wanted what in the step before."""
        self._wanted = None

    def is_whole(self, image: ImageId) -> bool:
        """Whether the image can be taken whole."""
        seen = self._touched(image)
        return seen is not None and seen.is_whole

    def want(self, image: ImageId, inputs: Callable[[], torch.Tensor]) -> None:
        """Encode more of this image before the step, unless another one was wanted first.

        vLLM asks for running requests first: what they want may be what those that wait for room are waiting
        for.
        """
        if self._wanted is None:
            self._wanted = image, inputs

    def advance(self) -> None:
        """Encode a few crops of what is wanted."""
        if self._wanted is None or self._encode is None:
            return
        image, inputs = self._wanted
        seen = self._touched(image)
        if seen is None:
            if len(self._begun) == MOST_BEGUN:
                del self._begun[next(iter(self._begun))]
            seen = self._begun[image] = SeenCrops(inputs())
        began = time.monotonic()
        while not seen.is_whole:
            seen.features.append(self._encode(seen.inputs[seen.num_seen :][:1]))
            if time.monotonic() - began > SLICE_S:
                return

    def take(self, image: ImageId) -> SeenCrops | None:
        """What has been encoded of an image, whole or not; it is forgotten here."""
        return self._begun.pop(image, None)

    def _touched(self, image: ImageId) -> SeenCrops | None:
        if (seen := self._begun.pop(image, None)) is not None:
            self._begun[image] = seen
        return seen


SLICES = ImageSlices()
"""Of this process: vLLM makes scheduler, worker and model each by itself, and hands none of them to
another."""
