"""The tower that is trained computes what CLIP computes with the weights written from it."""

import pytest
import torch
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from demo.tower import FEATURES, Tower, look, look_and_add, pixel_means
from drawings import scenes
from phiserve.checkpoint.demo_tower import (
    CODES,
    COLOUR,
    FURTHER_LEFT,
    LAYERS,
    LEFT,
    LUMA,
    NEIGHBOURS,
    OUT,
    OUT2,
    SIDE,
    Offsets,
    clip_tensors,
)
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Two drawn pictures: one of text, one of shapes."""
    return torch.stack([torch.from_numpy(scenes(kind)[1].canvas.crop()) for kind in ("book", "shapes")])


@pytest.fixture(scope="module")
@torch.no_grad()
def tower() -> Tower:
    """A tower whose MLPs are driven far from where they are linear, as training's are."""
    torch.manual_seed(0)
    tower = Tower()
    for layer in (tower.first, tower.second, tower.third):
        layer.inner.weight.mul_(5)
        layer.outer.weight.mul_(5)
    for linear in (tower.first.value, tower.second.value, tower.count):
        linear.weight.mul_(5)
    return tower


@torch.no_grad()
def test_it_is_clip(tower: Tower, crops: Tensor) -> None:
    """Colours, the last layer's output and places equal CLIP's hidden states, in float32, on drawn
    pictures.
    """
    config = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=LAYERS,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    clip = CLIPVisionModel(config)
    tensors = clip_tensors({name: tensor.detach() for name, tensor in tower.state_dict().items()})
    own = {name.removeprefix("vision_model."): name for name in clip.state_dict()}
    clip.load_state_dict({own[name]: tensor for name, tensor in tensors.items()})
    pixels = (crops.float() / 255 - torch.tensor(IMAGE_MEAN)) / torch.tensor(IMAGE_STD)
    states = clip(pixels.permute(0, 3, 1, 2), output_hidden_states=True).hidden_states[LAYERS][:, 1:]
    codes = states[..., CODES.start : CODES.start + 2 * SIDE]
    expected = torch.cat([states[..., LUMA : LUMA + COLOUR], states[..., OUT2], codes], -1)
    ours = tower(crops)
    assert ours.shape == (2, SIDE * SIDE, FEATURES)
    torch.testing.assert_close(ours, expected, atol=1e-3, rtol=0)
    assert expected.std(1).min() > 0.05  # every channel tells patches apart, by far more than the tolerance


def test_pixel_means() -> None:
    """Luma is a patch's own pixels row by row; colours are the means of its quarters, from the upper left
    on.
    """
    crop = torch.full((1, 336, 336, 3), 128, dtype=torch.uint8)
    # The upper right quarter of the patch in row 1, column 2.
    crop[0, 14:21, 35:42] = torch.tensor([255, 0, 128], dtype=torch.uint8)
    luma, colour = pixel_means(crop)
    place, plain = SIDE + 2, 0
    changed = (luma[0, place] - luma[0, plain]).abs().view(14, 14) > 1e-4
    assert changed.nonzero().tolist() == [[row, column] for row in range(7) for column in range(7, 14)]
    quarters = (colour[0, place] - colour[0, plain]).view(4, 3)
    torch.testing.assert_close(quarters[[0, 2, 3]], torch.zeros(3, 3))
    grey, std = 128 / 255, torch.tensor(IMAGE_STD)
    torch.testing.assert_close(quarters[1], torch.tensor([1 - grey, -grey, 0]) / std)
    assert (luma[0].std(-1) > 1e-3).nonzero().flatten().tolist() == [place]


@pytest.mark.parametrize("offsets", [NEIGHBOURS, LEFT, FURTHER_LEFT])
def test_looks(offsets: Offsets) -> None:
    """Head k gets the value of the patch `offsets[k]` away, and outside the picture the class token's; or all
    are added.
    """
    values = torch.arange(1 + SIDE * SIDE).float()[None, :, None, None].repeat(1, 1, len(offsets), 2)
    seen = look(values, offsets)[0]
    assert torch.equal(seen, seen[..., :1].expand_as(seen))
    for row, column in ((0, 0), (0, 23), (5, 7), (23, 23), (23, 4)):
        for head, (down, right) in enumerate(offsets):
            there = row + down, column + right
            inside = all(0 <= place < SIDE for place in there)
            expected = 1 + there[0] * SIDE + there[1] if inside else 0
            assert seen[1 + row * SIDE + column, head, 0] == expected
    assert torch.unique(seen[0]).tolist() == [0]
    assert torch.equal(look_and_add(values[:, :, 0], offsets)[0], seen.sum(1))


def test_a_row_is_summed_up() -> None:
    """Two looks to the left see every patch before, once; the class token stands for what lies outside."""
    values = torch.rand(2, 1 + SIDE * SIDE, 3, dtype=torch.float64)
    values[:, 0] = 0
    left = look_and_add(values, LEFT)
    rows = torch.unflatten((left + look_and_add(left, FURTHER_LEFT))[:, 1:], 1, (SIDE, SIDE))
    before = torch.unflatten(values[:, 1:], 1, (SIDE, SIDE)).cumsum(2)
    torch.testing.assert_close(rows[:, :, 1:], before[:, :, :-1])
    assert not rows[:, :, 0].any()


def test_every_weight_is_learned(tower: Tower, crops: Tensor) -> None:
    """A loss of the last output reaches all weights of the tower."""
    tower.zero_grad()
    tower(crops)[..., COLOUR : COLOUR + OUT].square().sum().backward()
    assert [
        name for name, weight in tower.named_parameters() if weight.grad is None or not weight.grad.any()
    ] == []
