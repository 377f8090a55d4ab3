"""RGB -> crops, bit for bit as the reference's HD transform. Sizes come from `vision.sizes`.

Source: `image_processing_phi3_v.py` of microsoft/Phi-3-vision-128k-instruct (HD_transform, padding_336).
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phiserve.vision.sizes import CROP_SIDE, CropPlan

Crops = NDArray[np.uint8]
"""(n, 336, 336, 3), row-major, uint8."""

_WHITE = 255


def cut_crops(picture: Image.Image, plan: CropPlan) -> Crops:
    """Resize, pad with white and cut an RGB picture.

    A portrait picture is resized lying on its side, as the reference does: Pillow resizes rows first and rounds between, so the
    upright resize differs by one level here and there. Only views are transposed back.
    """
    crops = np.empty((plan.rows, plan.columns, CROP_SIDE, CROP_SIDE, 3), np.uint8)
    if plan.transposed:
        lying = picture.transpose(Image.Transpose.TRANSPOSE)
        _fill(crops.transpose(1, 0, 3, 2, 4), _resize(lying, plan.resized[::-1]))
    else:
        _fill(crops, _resize(picture, plan.resized))
    return crops.reshape(-1, CROP_SIDE, CROP_SIDE, 3)


def _resize(picture: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def _fill(crops: NDArray[np.uint8], resized: NDArray[np.uint8]) -> None:
    """Write a resized picture (height, width, 3) into crops (rows, columns, 336, 336, 3), padding above and below."""
    rows, columns = crops.shape[:2]
    height = resized.shape[0]
    top = (rows * CROP_SIDE - height) // 2
    for row in range(rows):
        start = row * CROP_SIDE - top  # of this row of crops, in the resized picture
        first, last = max(start, 0), min(start + CROP_SIDE, height)
        crops[row, :, : first - start] = _WHITE
        crops[row, :, last - start :] = _WHITE
        band = resized[first:last].reshape(last - first, columns, CROP_SIDE, 3)
        crops[row, :, first - start : last - start] = band.transpose(1, 0, 2, 3)
