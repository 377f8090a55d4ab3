"""Encodes images incrementally: a few crops before each step, one image active, the others paused or done.

vLLM encodes an image whole, in the step that reads its first token: on a CPU every running answer stands
still for seconds. Here the scheduler postpones such a step (`plugin.scheduler`), the worker encodes a few
crops before each step of the running answers (`plugin.worker`), and the model takes the features that are
there (`plugin.model`). On CPU all three live in one process and meet in `PARTIAL_ENCODER`.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import cast

import torch

ImageId = tuple[int, ...]
"""An image's cache key, as numbers that travel with its pixels (`plugin.processor.image_item`)."""

Encoding = Generator[None, None, torch.Tensor]
"""Pauses between the layers of CLIP, and returns its features, (n, 576, 1024)."""

EncodeCrops = Callable[[torch.Tensor], Encoding]
"""Begins to encode crops, (n, 3, 336, 336)."""

ENCODING_TIME_S = 0.01
"""Seconds before a step after which no further crop is begun; in short steps, no further layer.

One crop, or layer, is always encoded; a small vision tower encodes many.
"""

MAX_IMAGES_KEPT = 3
"""Number of images kept at once, some 50 MB each with their features.

Nobody reports requests that have gone: their images stay until others take their room.
"""


@dataclass(slots=True)
class PartialEncoding:
    """An image's input for CLIP, float32 (n, 3, 336, 336), and the features of its first crops.

    `features` holds tensors (k, 576, 1024) in the order of the crops; the k add up to `num_encoded`. The next
    crop may have been begun.
    """

    inputs: torch.Tensor
    features: list[torch.Tensor] = field(default_factory=list)
    _begun: Encoding | None = None

    @property
    def num_encoded(self) -> int:
        """Crops whose features are there."""
        return sum(map(len, self.features))

    @property
    def remaining_inputs(self) -> torch.Tensor:
        """The crops that are still to be encoded, (n - num_encoded, 3, 336, 336)."""
        return self.inputs[self.num_encoded :]

    @property
    def is_complete(self) -> bool:
        """Whether all crops have been encoded."""
        return self.num_encoded == len(self.inputs)

    def advance(self, encode: EncodeCrops, seconds: float, *, by_layers: bool) -> None:
        """Encode crops one by one until all are encoded or `seconds` have passed.

        They end no crop early unless `by_layers`.
        """
        began = time.monotonic()
        while not self.is_complete:
            if self._begun is None:
                self._begun = encode(self.remaining_inputs[:1])
            is_between = self._pass_layer() or by_layers
            if is_between and time.monotonic() - began > seconds:
                return

    def finish_crop(self) -> None:
        """Encode what is left of a crop that has been begun."""
        while self._begun is not None:
            self._pass_layer()

    def _pass_layer(self) -> bool:
        """Pass the crop that has been begun through CLIP's next layer. Whether that was the last one."""
        try:
            next(cast("Encoding", self._begun))
        except StopIteration as end:
            self.features.append(end.value)
            self._begun = None
        return self._begun is None


class PartialEncoder:
    """The images of one process that are encoded incrementally: one active, the others paused or done.

    For each step, the scheduler calls `begin_step` and then `request` for images that are not `is_complete`;
    the worker calls `advance`; the model calls `take` for the images that the step reads. Where
    `steps_are_short`, because others wait for the step's end, `advance` may pause within a crop.
    """

    def __init__(self) -> None:
        self._encode: EncodeCrops | None = None
        self._kept: dict[ImageId, PartialEncoding] = {}  # least recently asked for first
        self._active: tuple[ImageId, Callable[[], torch.Tensor]] | None = None
        self.steps_are_short = False

    @property
    def has_worker(self) -> bool:
        """Whether a worker in this process calls `advance`. Without one, vLLM must encode images whole."""
        return self._encode is not None

    def start(self, encode: EncodeCrops) -> None:
        """Encode with `encode` from now on.

        The caller is the worker, which calls `advance` before each step.
        """
        self._encode = encode

    def begin_step(self) -> None:
        """Forget which image was requested for the step before."""
        self._active = None

    def is_complete(self, image: ImageId) -> bool:
        """Whether all features of the image are there."""
        encoding = self._recently_used(image)
        return encoding is not None and encoding.is_complete

    def request(self, image: ImageId, inputs: Callable[[], torch.Tensor]) -> None:
        """Encode more of this image before the step, unless another one was requested first.

        `inputs` makes the image's input for CLIP, (n, 3, 336, 336), when it is begun. vLLM asks for running
        requests first: waiting requests may be waiting for the memory that these will free.
        """
        if self._active is None:
            self._active = image, inputs

    def advance(self) -> None:
        """Encode more of the active image until it is complete or `ENCODING_TIME_S` have passed."""
        if self._active is None or self._encode is None:
            return
        encoding = self._begun(*self._active)
        encoding.advance(self._encode, ENCODING_TIME_S, by_layers=self.steps_are_short)

    def take(self, image: ImageId) -> PartialEncoding | None:
        """Hand over what has been encoded of an image, complete or not, and keep it no longer."""
        return self._kept.pop(image, None)

    def _begun(self, image: ImageId, inputs: Callable[[], torch.Tensor]) -> PartialEncoding:
        """The encoding of this image, a new one if there is none.

        Where `MAX_IMAGES_KEPT` are kept already, the least recently used makes room for a new one.
        """
        encoding = self._recently_used(image)
        if encoding is None:
            if len(self._kept) == MAX_IMAGES_KEPT:
                del self._kept[next(iter(self._kept))]
            encoding = self._kept[image] = PartialEncoding(inputs())
        return encoding

    def _recently_used(self, image: ImageId) -> PartialEncoding | None:
        """The encoding of this image, which becomes the last to make room for others."""
        encoding = self._kept.pop(image, None)
        if encoding is not None:
            self._kept[image] = encoding
        return encoding


PARTIAL_ENCODER = PartialEncoder()
"""The partial encoder of this process.

vLLM makes scheduler, worker and model independently and passes none of them to another, so that they can meet
only in a global.
"""
