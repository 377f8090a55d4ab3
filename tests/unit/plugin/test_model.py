"""The in-model path: normalisation and the global view."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from images import noise
from phiserve.codecs.decode import decode_pixels, read_header
from phiserve.plugin.model import global_view, normalise, tower_input
from phiserve.vision.crops import cut_crops
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD
from phiserve.vision.sizes import plan_crops


def test_golden_global_view(golden: Path) -> None:
    """Samples, mean and deviation of the reference's global view, within 1e-3."""
    for vector in json.loads((golden / "pixels.json").read_text()):
        content = (golden / vector["file"]).read_bytes()
        header = read_header(content, "image")
        plan = plan_crops(*header.size, vector["num_crops"])
        crops = torch.from_numpy(cut_crops(decode_pixels(content, header, "image"), plan))
        view = tower_input(crops, vector["image_size_hw"])[0]
        for channel, row, column, value in vector["global_view_samples"]:
            assert view[channel, row, column].item() == pytest.approx(value, abs=1e-3)
        assert view.mean((1, 2)).tolist() == pytest.approx(vector["global_view_mean"], abs=1e-3)
        assert view.std((1, 2)).tolist() == pytest.approx(vector["global_view_std"], abs=1e-3)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (900, 100), (20, 20)])
def test_same_as_the_plain_steps(size: tuple[int, int]) -> None:
    """The global view of the reassembled crops is that of the padded image, and the crops follow it."""
    plan = plan_crops(*size, 16)
    crops = cut_crops(np.array(noise(*size)), plan)
    grid = crops.reshape(plan.rows, plan.columns, 336, 336, 3).transpose(0, 2, 1, 3, 4)
    padded = torch.from_numpy(np.ascontiguousarray(grid.reshape(plan.rows * 336, plan.columns * 336, 3)))
    mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
    normalised = ((padded / 255 - mean) / std).permute(2, 0, 1).unsqueeze(0)
    result = tower_input(torch.from_numpy(crops), plan.padded[::-1])
    assert torch.allclose(
        result[0], functional.interpolate(normalised, (336, 336), mode="bicubic")[0], atol=1e-5
    )
    assert torch.allclose(result[1], normalised[0, :, :336, :336], atol=1e-6)
    assert len(result) == plan.num_crops + 1


def test_one_crop_is_its_own_global_view() -> None:
    """Scaling 336 x 336 to itself changes no bit, so that CLIP need not see it twice."""
    crops = torch.from_numpy(cut_crops(np.array(noise(500, 300)), plan_crops(500, 300, 1)))
    normalised = normalise(crops)
    assert torch.equal(global_view(normalised, 1, 1), normalised)
    assert torch.equal(tower_input(crops, (336, 336)), normalised)
