"""Encodes images in slices: some parts of CLIP before each step, one image active, others paused or done.

vLLM encodes an image whole, in the step that reads its first token: on a CPU every running answer stands
still for seconds. Here the scheduler postpones such a step (`plugin.scheduler`), the worker encodes for at
most `encode_slice_ms` before each step of the running answers (`plugin.worker`), and the model takes the
features that are there (`plugin.model`). On CPU all three live in one process and meet in `PARTIAL_ENCODER`.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch

from phiserve.plugin.encoder_pace import EncoderPace

ImageId = tuple[int, ...]
"""An image's cache key, as numbers that travel with its pixels (`plugin.processor.image_item`)."""

Encoding = Generator[str, None, torch.Tensor]
"""Pauses before each part of the work, of which it says the name, and returns what that makes: of an image
its input for CLIP, (n, 3, 336, 336), of crops their features, (n, 576, 1024)."""

EncodeCrops = Callable[[torch.Tensor], Encoding]
"""Begins to encode crops, (n, 3, 336, 336), together."""

SHORT_SLICE_S = 0.01
"""Longest slice in seconds where other owners wait for the step's end, too."""

LONG_SLICE_S = 0.25
"""Shortest slice in seconds where there is nothing but batch work: whoever comes next can wait for it, and
several crops pass CLIP's parts together.
"""

_PREPARATION = 0
"""Stands for a number of crops where an image's input is made."""

MAX_IMAGES_KEPT = 3
"""Number of images kept at once, some 50 MB each with their features.

More are not needed: one is active, and others are complete and about to be read, or were paused for one that
came first. The least recently asked for makes room and is encoded anew.
"""


@dataclass(slots=True)
class _Begun:
    """An image's input, or its next `crops`, on the way: paused before `part`, after `seconds` of work."""

    encoding: Encoding
    crops: int
    part: str
    seconds: float = 0.0


class PartialEncoding:
    """The features of an image's first crops, and how far its input, or the next crops, have come.

    Those on their way through CLIP hold 1.2 MB of hidden state each in bf16, within a layer up to 6 MB.
    """

    def __init__(self, preparation: Encoding) -> None:
        """`preparation` returns the image's input for CLIP, float32 (n, 3, 336, 336)."""
        self.features: list[torch.Tensor] = []
        """Tensors (k, 576, 1024) in the order of the crops; the k add up to `num_encoded`."""
        self._inputs = torch.empty(0)
        self._is_prepared = False
        self._begun: _Begun | None = _Begun(preparation, _PREPARATION, next(preparation))

    @property
    def num_encoded(self) -> int:
        """Crops whose features are there."""
        return sum(map(len, self.features))

    @property
    def is_complete(self) -> bool:
        """Whether all crops have been encoded."""
        return self._is_prepared and self.num_encoded == len(self._inputs)

    def advance(self, encode: EncodeCrops, pace: EncoderPace, began_s: float, slice_s: float) -> None:
        """Do parts until all is done or the next one would end later than `slice_s` after `began_s`.

        One part is always done.
        """
        is_first = True
        while not self.is_complete:
            begun = self._begun or self._begin(encode, pace, slice_s)
            used_s = pace.now_s() - began_s
            if not is_first and used_s + pace.expected_s(begun.part, begun.crops) > slice_s:
                return
            is_first = False
            self._pass_part(begun, pace)

    def finish_begun(self) -> torch.Tensor:
        """Finish what has been begun. What CLIP has not seen yet: (n - num_encoded, 3, 336, 336)."""
        while self._begun is not None:
            self._pass_part(self._begun, None)
        return self._inputs[self.num_encoded :]

    def _begin(self, encode: EncodeCrops, pace: EncoderPace, slice_s: float) -> _Begun:
        remaining = self._inputs[self.num_encoded :]
        crops = pace.crops_together(len(remaining), slice_s)
        encoding = encode(remaining[:crops])
        self._begun = _Begun(encoding, crops, next(encoding))
        return self._begun

    def _pass_part(self, begun: _Begun, pace: EncoderPace | None) -> None:
        """Do the next part of what has been begun, and keep what the last one makes."""
        part, crops = begun.part, begun.crops
        began_s = 0.0 if pace is None else pace.now_s()
        try:
            begun.part = next(begun.encoding)
        except StopIteration as end:
            self._begun = None
            if crops == _PREPARATION:
                self._inputs, self._is_prepared = end.value, True
            else:
                self.features.append(end.value)
        if pace is not None:
            seconds = pace.now_s() - began_s
            begun.seconds += seconds
            pace.took(part, crops, seconds)
            if self._begun is None and crops != _PREPARATION:
                pace.passed(crops, begun.seconds)


class PartialEncoder:
    """The images of one process that are encoded in slices: one active, the others paused or done.

    For each step, the scheduler calls `begin_step` and then `request` for images that are not `is_complete`;
    the worker calls `advance`; the model calls `take` for the images that the step reads. The scheduler calls
    `forget` for an image that nobody needs any more. Slices are no longer than `slice_s`, where
    `steps_are_short`, because other owners wait for the step's end, than `SHORT_SLICE_S`, and where
    `nobody_waits` than `LONG_SLICE_S`.
    """

    def __init__(self, pace: EncoderPace | None = None) -> None:
        self._pace = pace or EncoderPace()
        self._encode: EncodeCrops | None = None
        self.slice_s = 0.0
        self._kept: dict[ImageId, PartialEncoding] = {}  # least recently asked for first
        self._active: tuple[ImageId, Callable[[], Encoding]] | None = None
        self.steps_are_short = self.nobody_waits = False

    @property
    def has_worker(self) -> bool:
        """Whether a worker in this process calls `advance`. Without one, vLLM must encode images whole."""
        return self._encode is not None

    @property
    def images(self) -> frozenset[ImageId]:
        """The images that are kept, complete or not."""
        return frozenset(self._kept)

    def start(self, encode: EncodeCrops, slice_s: float) -> None:
        """Encode with `encode` from now on, for at most `slice_s` seconds before a step.

        The caller is the worker, which calls `advance` before each step.
        """
        self._encode, self.slice_s = encode, slice_s

    def begin_step(self) -> None:
        """Forget which image was requested for the step before."""
        self._active = None

    def is_complete(self, image: ImageId) -> bool:
        """Whether all features of the image are there."""
        encoding = self._recently_used(image)
        return encoding is not None and encoding.is_complete

    def request(self, image: ImageId, prepare: Callable[[], Encoding]) -> None:
        """Encode more of this image before the step, unless another one was requested first.

        `prepare` begins to make the image's input for CLIP, once it is its turn. vLLM asks for running
        requests first: waiting requests may be waiting for the memory that these will free.
        """
        if self._active is None:
            self._active = image, prepare

    def advance(self) -> None:
        """Encode more of the active image until it is complete or the slice is over."""
        if self._active is None or self._encode is None:
            return
        began_s = self._pace.now_s()
        self._begun(*self._active).advance(self._encode, self._pace, began_s, self._longest_slice_s())

    def _longest_slice_s(self) -> float:
        if self.steps_are_short:
            return min(self.slice_s, SHORT_SLICE_S)
        return max(self.slice_s, LONG_SLICE_S) if self.nobody_waits else self.slice_s

    def take(self, image: ImageId) -> PartialEncoding | None:
        """Hand over what has been encoded of an image, complete or not, and keep it no longer."""
        return self._kept.pop(image, None)

    def forget(self, image: ImageId) -> None:
        """Free what has been encoded of an image, which will not be requested again."""
        self._kept.pop(image, None)
        if self._active is not None and self._active[0] == image:
            self._active = None

    def _begun(self, image: ImageId, prepare: Callable[[], Encoding]) -> PartialEncoding:
        """The encoding of this image, a new one if there is none.

        Where `MAX_IMAGES_KEPT` are kept already, the least recently used makes room for a new one.
        """
        encoding = self._recently_used(image)
        if encoding is None:
            if len(self._kept) == MAX_IMAGES_KEPT:
                del self._kept[next(iter(self._kept))]
            encoding = self._kept[image] = PartialEncoding(prepare())
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
