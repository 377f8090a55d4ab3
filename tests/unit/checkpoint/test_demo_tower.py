"""CLIP's layers, with the weights written here, look at neighbours and keep what they should not touch."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from phiserve.checkpoint.blank import _clip_specs
from phiserve.checkpoint.demo_tower import (
    CODES,
    COLOUR,
    CONST,
    COUNT,
    FAR_SUM,
    FURTHER_LEFT,
    LAYERS,
    LEFT,
    LUMA,
    NEAR1,
    NEAR2,
    NEIGHBOURS,
    OUT1,
    OUT2,
    PATCH,
    PIXELS,
    SEPARATOR,
    SIDE,
    SUM,
    VALUE,
    clip_tensors,
    position_codes,
)
from phiserve.checkpoint.opened import CLIP_WIDTH

PATCHES = SIDE * SIDE
HEADS = (
    [(offset, VALUE) for offset in NEIGHBOURS],
    [(offset, VALUE) for offset in NEIGHBOURS] + [(offset, COUNT) for offset in LEFT],
    [(offset, COUNT) for offset in FURTHER_LEFT],
)
"""By layer: how far away each head looks, and how much it carries."""


@pytest.fixture(scope="module")
def clip(compact: dict[str, Tensor]) -> dict[str, Tensor]:
    tower = {
        name.removeprefix("tower."): tensor.float()
        for name, tensor in compact.items()
        if name.startswith("tower.")
    }
    return clip_tensors(tower)


@pytest.fixture(scope="module")
def stream(clip: dict[str, Tensor]) -> Tensor:
    """CLIP's residual stream (577, 1024) before its first layer, for pixels at random."""
    torch.manual_seed(0)
    embedded = torch.cat([torch.zeros(1, CLIP_WIDTH), torch.zeros(PATCHES, CLIP_WIDTH)])
    embedded[1:, PIXELS] = 2 * torch.randn(PATCHES, LUMA + COLOUR)
    embedded = embedded + clip["embeddings.position_embedding.weight"]
    return layer_norm(embedded, (CLIP_WIDTH,), clip["pre_layrnorm.weight"], clip["pre_layrnorm.bias"])


def test_names_and_shapes_are_clip_s(clip: dict[str, Tensor]) -> None:
    """Those of CLIP's first layers and what surrounds them."""
    assert {name: tuple(tensor.shape) for name, tensor in clip.items()} == {
        name: size for name, size, _, _ in _clip_specs("", LAYERS)
    }


def test_every_part_has_channels_of_its_own() -> None:
    """Ranges follow each other without overlap, and leave the separators' channel free."""
    ranges = (PIXELS, CODES, NEAR1, OUT1, NEAR2, OUT2, SUM, FAR_SUM, CONST)
    assert [part.start for part in ranges] == [0, *(part.stop for part in ranges[:-1])]
    assert CONST.stop <= SEPARATOR < CLIP_WIDTH


def test_no_image_sets_the_separators_channel(clip: dict[str, Tensor]) -> None:
    """No tensor that writes to the stream writes there."""
    writers = ["pre_layrnorm.weight", "pre_layrnorm.bias"]
    writers += [
        f"encoder.layers.{layer}.{name}"
        for layer in range(LAYERS)
        for name in ("self_attn.out_proj.weight", "mlp.fc2.weight")
    ]
    writers += [
        f"encoder.layers.{layer}.{name}"
        for layer in range(LAYERS)
        for name in ("self_attn.out_proj.bias", "mlp.fc2.bias")
    ]
    assert [name for name in writers if clip[name][SEPARATOR].any()] == []


@pytest.mark.parametrize("layer", range(LAYERS))
def test_heads_look_where_they_should(layer: int, clip: dict[str, Tensor], stream: Tensor) -> None:
    """Each head gives all its attention to the patch it is for, outside the image to the class token."""
    normed = layer_norm(stream, (CLIP_WIDTH,))
    own = f"encoder.layers.{layer}.self_attn."
    query, key = (
        normed @ clip[f"{own}{name}.weight"].T + clip[f"{own}{name}.bias"] for name in ("q_proj", "k_proj")
    )
    heads = [tensor.view(1 + PATCHES, 16, 64).transpose(0, 1)[: len(HEADS[layer])] for tensor in (query, key)]
    attention = (heads[0] @ heads[1].transpose(1, 2) / 8).softmax(-1)
    for head, ((down, right), _) in enumerate(HEADS[layer]):
        rows, columns = torch.arange(PATCHES) // SIDE + down, torch.arange(PATCHES) % SIDE + right
        inside = (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE)
        wanted = torch.where(inside, 1 + rows * SIDE + columns, 0)
        assert attention[head, 1:].argmax(-1).tolist() == wanted.tolist()
        assert attention[head, 0].argmax() == 0
        assert attention[head].amax(-1).min() > 1 - 1e-6


def test_other_heads_are_silent(clip: dict[str, Tensor]) -> None:
    """Values beyond the heads that look, and of each head beyond its own width, are nothing."""
    for layer, heads in enumerate(HEADS):
        value = clip[f"encoder.layers.{layer}.self_attn.v_proj.weight"].view(16, 64, CLIP_WIDTH).any(-1)
        assert value.sum(1).tolist() == [width for _, width in heads] + [0] * (16 - len(heads))
        assert all(value[head, :width].all() for head, (_, width) in enumerate(heads))


def test_patch_embedding(clip: dict[str, Tensor], compact: dict[str, Tensor]) -> None:
    """Filters see the mean of the channels; colours are the means of a patch's quarters, channel by
    channel.
    """
    weight = clip["embeddings.patch_embedding.weight"]
    patch = torch.randn(3, PATCH, PATCH)
    embedded = (weight * patch).sum((1, 2, 3))
    filters = compact["tower.filters.weight"].float()
    torch.testing.assert_close(embedded[:LUMA], filters @ patch.mean(0).flatten(), atol=1e-4, rtol=1e-4)
    quarters = [
        patch[channel, top : top + 7, left : left + 7].mean()
        for top in (0, 7)
        for left in (0, 7)
        for channel in range(3)
    ]
    torch.testing.assert_close(embedded[LUMA : LUMA + COLOUR], torch.stack(quarters), atol=1e-5, rtol=1e-4)
    assert not weight[LUMA + COLOUR :].any()


def test_position_codes() -> None:
    """Each patch has the code of its row and of its column, the class token its own; no two are alike."""
    codes = position_codes()
    assert (codes > 0).sum(1).tolist() == [1, *[2] * PATCHES]
    assert len({tuple(code.nonzero().flatten().tolist()) for code in codes}) == 1 + PATCHES
    assert codes[1 + 3 * SIDE + 5].nonzero().flatten().tolist() == [3, SIDE + 5]
    assert codes[0].nonzero().item() == 2 * SIDE
