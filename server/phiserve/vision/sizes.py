"""Size arithmetic of the HD transform: from an image's size to its crops and tokens. No pixels.

Source: `image_processing_phi3_v.py` of microsoft/Phi-3-vision-128k-instruct (HD_transform,
calc_hd_transform_size). All sizes are (width, height) in pixels unless a name says otherwise.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

CROP_SIDE = 336
"""Side of a crop in pixels, the input size of CLIP ViT-L/14-336."""

MAX_ASPECT_RATIO = CROP_SIDE
"""Ratio of long to short side up to which the resized short side has at least one pixel, whatever
`max_crops` is. The reference crashes beyond it."""

_FINE_SIDE = 1_000_000
"""Long side of a page in whole numbers that keep its proportions."""

TOKENS_PER_CROP_SIDE = 12
"""CLIP's 24 x 24 patches of a crop, merged 2 x 2."""


@dataclass(frozen=True, slots=True)
class CropPlan:
    """How one image is resized, padded and cut.

    `columns` x `rows` crops make up the padded image. `resized` is the size before padding. `transposed` says
    that the image is resized on its side: portrait images are, and PIL's result depends on it.
    """

    columns: int
    rows: int
    resized: tuple[int, int]
    transposed: bool

    @property
    def padded(self) -> tuple[int, int]:
        """Size after padding, a whole number of crops each way."""
        return self.columns * CROP_SIDE, self.rows * CROP_SIDE

    @property
    def num_bytes(self) -> int:
        """Bytes of the crops' pixels."""
        return self.num_crops * CROP_SIDE * CROP_SIDE * 3

    @property
    def num_crops(self) -> int:
        """Crops cut from the padded image; CLIP sees one more, the global view."""
        return self.columns * self.rows

    @property
    def num_tokens(self) -> int:
        """Tokens the image takes in the prompt."""
        return num_image_tokens(self.columns, self.rows)


def num_image_tokens(columns: int, rows: int) -> int:
    """Number of tokens of an image of `columns` x `rows` crops.

    They are those of the crops, of the separators between rows, and of the global view with its separators.
    """
    side = TOKENS_PER_CROP_SIDE
    return (rows * columns + 1) * side * side + 1 + (rows + 1) * side


@lru_cache(maxsize=4096)
def plan_crops(width: int, height: int, max_crops: int) -> CropPlan:
    """Plan the HD transform of a `width` x `height` image into at most `max_crops` crops.

    Raises ValueError unless all three are positive.
    """
    if width < 1 or height < 1 or max_crops < 1:
        raise ValueError(f"width, height and max_crops must be positive, got {width}, {height}, {max_crops}")
    transposed = width < height
    long, short = (height, width) if transposed else (width, height)
    ratio = long / short
    scale = 1
    while scale * math.ceil(scale / ratio) <= max_crops:
        scale += 1
    scale -= 1
    resized_long = scale * CROP_SIDE
    resized_short = int(resized_long / ratio)
    short_crops = math.ceil(resized_short / CROP_SIDE)
    if transposed:
        return CropPlan(short_crops, scale, (resized_short, resized_long), transposed)
    return CropPlan(scale, short_crops, (resized_long, resized_short), transposed)


class PageSize(NamedTuple):
    """The size of what is no picture yet: a page of a PDF, which is drawn as large as its plan resizes to."""

    width: int
    height: int


def plan_image(size: tuple[int, int], max_crops: int) -> CropPlan:
    """Plan the HD transform of an image, or of a page: then so that its picture needs no resizing.

    The reference rounds sizes down, by floating-point arithmetic: a picture that is as large as one was
    resized to may come out a pixel smaller once more. A page is drawn as large as such a picture ends up.
    """
    plan = plan_crops(*size, max_crops)
    if isinstance(size, PageSize):
        while plan.resized != size and min(plan.resized):
            size = plan.resized
            plan = plan_crops(*size, max_crops)
    return plan


def page_size(width: float, height: float, max_crops: int) -> PageSize:
    """The size in pixels of the picture of a `width` x `height` page of whatever unit.

    It is the largest that the model can see of it: the crops of a picture of that size, cut without being
    resized, are the picture, unless it is thinner than MAX_ASPECT_RATIO. Raises ValueError unless all are
    positive.
    """
    scale = _FINE_SIDE / max(width, height)
    size = PageSize(max(1, round(width * scale)), max(1, round(height * scale)))
    resized = plan_image(size, max_crops).resized
    return PageSize(*resized) if min(resized) else size


def most_image_tokens(max_crops: int) -> int:
    """Number of tokens of the most expensive image under `max_crops`.

    It has one column of crops, since each row adds a separator.
    """
    return num_image_tokens(1, max_crops)
