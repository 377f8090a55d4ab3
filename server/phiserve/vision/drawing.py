"""Draws an image as the model sees it: its numbered crops, and the global view beside them."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from phiserve.vision.crops import Crops
from phiserve.vision.sizes import CROP_SIDE, CropPlan

_GAP = 12
_BACKGROUND = (64, 64, 72)
_LABEL = (255, 220, 0)


def draw_crops(crops: Crops, plan: CropPlan) -> Image.Image:
    """Draw uint8 crops (n, 336, 336, 3), numbered row by row; white above and below the image is padding.

    The global view is drawn by Pillow's bicubic filter, close to the model's own, which works on floats.
    """
    step = CROP_SIDE + _GAP
    size = (plan.columns + 1) * step + 2 * _GAP, plan.rows * step + _GAP
    canvas = Image.new("RGB", size, _BACKGROUND)
    for number, crop in enumerate(crops):
        row, column = divmod(number, plan.columns)
        _paste(canvas, Image.fromarray(crop), (_GAP + column * step, _GAP + row * step), str(number + 1))
    grid = crops.reshape(plan.rows, plan.columns, CROP_SIDE, CROP_SIDE, 3).transpose(0, 2, 1, 3, 4)
    padded = Image.fromarray(np.ascontiguousarray(grid.reshape(plan.rows * CROP_SIDE, -1, 3)))
    overview = padded.resize((CROP_SIDE, CROP_SIDE), Image.Resampling.BICUBIC)
    _paste(canvas, overview, (2 * _GAP + plan.columns * step, _GAP), "global view")
    return canvas


def to_png(drawings: Sequence[Image.Image]) -> bytes:
    """Drawings of several images, one below the other, as a PNG file."""
    size = max(drawing.width for drawing in drawings), sum(drawing.height for drawing in drawings)
    canvas = Image.new("RGB", size, _BACKGROUND)
    top = 0
    for drawing in drawings:
        canvas.paste(drawing, (0, top))
        top += drawing.height
    file = io.BytesIO()
    canvas.save(file, "PNG")
    return file.getvalue()


def _paste(canvas: Image.Image, part: Image.Image, corner: tuple[int, int], label: str) -> None:
    canvas.paste(part, corner)
    ImageDraw.Draw(canvas).text(
        (corner[0] + 6, corner[1] + 4),
        label,
        fill=_LABEL,
        stroke_width=2,
        stroke_fill=(0, 0, 0),
        font=ImageFont.load_default(20),
    )
