"""RGB -> crops, bit for bit as the reference's HD transform. Sizes come from `vision.sizes`.

Source: `image_processing_phi3_v.py` of microsoft/Phi-3-vision-128k-instruct (HD_transform, padding_336).
"""

import numpy as np
from numpy.typing import NDArray

from phiserve.codecs import Pixels, jpeg_entropy
from phiserve.vision.sizes import CROP_SIDE, CropPlan, plan_crops

Crops = NDArray[np.uint8]
"""(n, 336, 336, 3), row-major, uint8."""

_WHITE = 255


def cut_crops(pixels: Pixels, plan: CropPlan, out: Crops | None = None) -> Crops:
    """Resize, pad with white and cut an RGB image; into `out`, if it is given.

    A portrait image is resized as if lying on its side, as the reference does: rows are resized first and
    rounded in between, so the upright resize differs by one level here and there.
    """
    # Imported here: numba takes half a second to import, and vLLM 0.32's engine processes, which import what
    # the command does and then go through all modules, fail on those of llvmlite.
    from phiserve.vision.resampling import fill_landscape, fill_portrait

    shape = plan.rows, plan.columns, CROP_SIDE, 3 * CROP_SIDE
    crops = np.empty(shape, np.uint8) if out is None else out.reshape(shape)
    if plan.transposed:
        fill_portrait(pixels, plan.resized, (plan.padded[0] - plan.resized[0]) // 2, crops)
    else:
        top = (plan.padded[1] - plan.resized[1]) // 2
        crops[0, :, :top] = _WHITE
        crops[-1, :, CROP_SIDE - (plan.padded[1] - plan.resized[1] - top) :] = _WHITE
        fill_landscape(pixels, plan.resized, top, crops)
    return crops.reshape(-1, CROP_SIDE, CROP_SIDE, 3)


def compile_ahead() -> None:
    """Compile what decoding and `cut_crops` call, or load it from numba's cache.

    This takes some seconds, which no image should wait for.
    """
    jpeg_entropy.compile_ahead()
    for width, height in ((2, 1), (1, 2)):
        cut_crops(np.zeros((height, width, 3), np.uint8), plan_crops(width, height, 1))
