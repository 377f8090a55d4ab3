"""Drawn crops stand where the model has them. The command that draws them is covered by `cli/test_tokens`."""

import io

import numpy as np
from PIL import Image

from images import noise
from phiserve.vision.crops import cut_crops
from phiserve.vision.drawing import draw_crops, to_png
from phiserve.vision.sizes import CROP_SIDE, plan_crops

GAP = 12
"""Pixels between crops."""

UNLABELLED = slice(40, None)
"""Rows of a crop below its number."""


def test_crops_stand_in_their_order_with_space_between() -> None:
    """Every crop is found in the drawing, row by row, and the global view at the right."""
    plan = plan_crops(60, 40, 4)
    crops = cut_crops(np.array(noise(60, 40)), plan)
    drawing = np.asarray(draw_crops(crops, plan))
    step = CROP_SIDE + GAP
    for number, crop in enumerate(crops):
        row, column = divmod(number, plan.columns)
        top, left = GAP + row * step, GAP + column * step
        part = drawing[top : top + CROP_SIDE, left : left + CROP_SIDE]
        assert np.array_equal(part[UNLABELLED], crop[UNLABELLED]), number
    assert drawing.shape[1] > (plan.columns + 1) * CROP_SIDE


def test_drawings_of_several_images_stand_below_each_other() -> None:
    """In a PNG as wide as the widest and as high as all together."""
    red, blue = Image.new("RGB", (30, 10), (255, 0, 0)), Image.new("RGB", (20, 15), (0, 0, 255))
    with Image.open(io.BytesIO(to_png([red, blue]))) as drawing:
        assert (drawing.format, drawing.size) == ("PNG", (30, 25))
        assert drawing.getpixel((29, 9)) == (255, 0, 0)
        assert drawing.getpixel((0, 10)) == (0, 0, 255)
