"""Crops equal the reference's bit for bit."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images import noise
from phiserve.codecs import parse
from phiserve.vision.crops import cut_crops
from phiserve.vision.sizes import CROP_SIDE, plan_crops


def test_golden_crops(golden: Path) -> None:
    """Every image of pixels.json: the SHA-256 of its crops."""
    vectors = json.loads((golden / "pixels.json").read_text())
    for vector in vectors:
        content = (golden / vector["file"]).read_bytes()
        parsed = parse(content)
        plan = plan_crops(*parsed.size, vector["num_crops"])
        digest = hashlib.sha256(cut_crops(parsed.decode(), plan).tobytes()).hexdigest()
        assert list(plan.padded[::-1]) == vector["image_size_hw"]
        assert digest == vector["sub_crops_uint8_hwc_sha256"], vector["file"]
    assert len(vectors) == 9


def reference_crops(image: Image.Image, max_crops: int) -> np.ndarray:
    """The reference's steps written out plainly: lie down, resize, pad, stand up, cut."""
    plan = plan_crops(*image.size, max_crops)
    width, height = plan.resized[::-1] if plan.transposed else plan.resized
    lying = image.transpose(Image.Transpose.TRANSPOSE) if plan.transposed else image
    resized = lying.resize((width, height), Image.Resampling.BILINEAR)
    target = -(-height // CROP_SIDE) * CROP_SIDE
    padded = Image.new("RGB", (width, target), "white")
    padded.paste(resized, (0, int((target - height) / 2)))
    upright = np.asarray(padded.transpose(Image.Transpose.TRANSPOSE) if plan.transposed else padded)
    grid = upright.reshape(plan.rows, CROP_SIDE, plan.columns, CROP_SIDE, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(-1, CROP_SIDE, CROP_SIDE, 3)


SIZES = [
    (64, 64),
    (640, 480),
    (480, 640),
    (900, 31),
    (31, 900),
    (337, 336),
    (1, 1),
    (5, 300),
    (2500, 1900),
    (1901, 2500),
    (1344, 1008),
]


@pytest.mark.parametrize("max_crops", [1, 4, 16])
@pytest.mark.parametrize("size", SIZES)
def test_same_as_the_plain_steps(size: tuple[int, int], max_crops: int) -> None:
    """What Pillow gives, whole image by whole image: enlarged, made much smaller, or left as it is."""
    image = noise(*size)
    assert np.array_equal(
        cut_crops(np.array(image), plan_crops(*size, max_crops)), reference_crops(image, max_crops)
    )


def test_the_command_does_not_import_numba() -> None:
    """Engine processes import what the command does, and vLLM 0.32, which goes through all modules, trips
    over llvmlite's.
    """
    code = "import sys, phiserve.cli.main, phiserve.assembly; sys.exit('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - our own code
    assert done.returncode == 0
