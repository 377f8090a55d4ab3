"""Lays out the demo model's vision tower in CLIP's tensors.

The tower is a small network that looks at 3 x 3 patches and counts along their rows. CLIP's residual stream
has 1024 channels, of which each part of the network owns a range. Attention is not learned: each head looks
at one patch some steps away, found by one-hot codes of rows and columns, and outside the image at the class
token. Two layers look at the eight neighbours. The second and the third also sum along the row: over the
eight patches to the left, then over such sums eight and sixteen patches to the left, so that a patch knows
what all patches before it in its row add up to. What is learned are linear maps and MLPs. Constant channels
keep layer norms nearly linear. `demo/tower.py` trains the same computation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from phiserve.checkpoint.opened import CLIP_WIDTH

SIDE, PATCH = 24, 14
"""Patches in a row of a crop, and pixels in a row of a patch."""

Offsets = tuple[tuple[int, int], ...]
"""How far away each attention head looks: (patches down, patches to the right)."""

NEIGHBOURS: Offsets = tuple(
    (down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)
)
STRIDE = 8
LEFT: Offsets = tuple((0, -step) for step in range(1, STRIDE + 1))
FURTHER_LEFT: Offsets = tuple((0, -step) for step in range(STRIDE, SIDE, STRIDE))

LUMA, COLOUR, POSITION, VALUE, COUNT, OUT = 116, 12, 2 * SIDE + 1, 32, 16, 144
"""Widths in channels: learned filters, colour means of quarters, one-hot codes, a neighbour's value, what
is summed, a layer's output."""

HIDDEN = (512, 640, 384)
"""Width of each layer's MLP."""

CONSTANTS, CONSTANT = 14, 29.0
"""Number and height of constant channels, half of them negative."""

CODE = 7.0
"""Height of the one-hot codes before the first norm."""

PRE_SCALE = 4.0
"""Weight of the first norm; it roughly undoes the norm's division."""

SEPARATOR = CLIP_WIDTH - 1
"""A channel that no image ever sets: Phi-3-vision's separators are ones there."""

NEAR = VALUE * len(NEIGHBOURS)
PIXELS, CODES, NEAR1, OUT1, NEAR2, OUT2, SUM, FAR_SUM, CONST = (
    slice(*ends)
    for ends in pairwise(
        accumulate((LUMA + COLOUR, POSITION, NEAR, OUT, NEAR, OUT, COUNT, COUNT, CONSTANTS), initial=0)
    )
)
"""Ranges of channels in the residual stream. The third layer's output is added to the second's."""

_HEAD = 64
_FFN = 4096
_MATCH = 64.0
"""Weight of a matching code in attention: about e^-40 is left for every other patch."""


@dataclass(frozen=True, slots=True)
class _Look:
    """Attention heads of one layer, each of which looks at the patch at one of `offsets`.

    `weight`: name of the learned map that makes values of the channels `seen`; None leaves them as they are.
    `width`: channels of a head's value. `into`: the channels that values are written to, side by side, or all
    into the same as a sum if these are just one value wide.
    """

    offsets: Offsets
    weight: str | None
    seen: tuple[slice, ...]
    width: int
    into: slice


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer: where its heads look, channels that its MLP reads (`known`), where its output goes (`out`)."""

    name: str
    looks: tuple[_Look, ...]
    known: tuple[slice, ...]
    out: slice


_LAYERS = (
    _Layer("first", (_Look(NEIGHBOURS, "first.value", (PIXELS,), VALUE, NEAR1),), (PIXELS, NEAR1), OUT1),
    _Layer(
        "second",
        (
            _Look(NEIGHBOURS, "second.value", (PIXELS, OUT1), VALUE, NEAR2),
            _Look(LEFT, "count", (PIXELS, OUT1), COUNT, SUM),
        ),
        (PIXELS, NEAR1, OUT1, NEAR2),
        OUT2,
    ),
    _Layer("third", (_Look(FURTHER_LEFT, None, (SUM,), COUNT, FAR_SUM),), (CODES, OUT2, SUM, FAR_SUM), OUT2),
)
LAYERS = len(_LAYERS)


def position_codes() -> Tensor:
    """One-hot codes of row, column and class token: (577, POSITION), the class token first."""
    codes = torch.zeros(1 + SIDE * SIDE, POSITION)
    codes[0, -1] = CODE
    patches = torch.arange(SIDE * SIDE)
    codes[1 + patches, patches // SIDE] = CODE
    codes[1 + patches, SIDE + patches % SIDE] = CODE
    return codes


def clip_tensors(compact: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's tensors by their names below `vision_model.`, from the tower's learned ones."""
    constants = torch.tensor([CONSTANT, -CONSTANT]).repeat(CONSTANTS // 2)
    positions = torch.zeros(1 + SIDE * SIDE, CLIP_WIDTH)
    positions[:, CODES] = position_codes()
    positions[:, CONST] = constants
    scale, bias = torch.zeros(CLIP_WIDTH), torch.zeros(CLIP_WIDTH)
    scale[PIXELS] = scale[CODES] = PRE_SCALE
    bias[CONST] = constants
    tensors = {
        "embeddings.class_embedding": torch.zeros(CLIP_WIDTH),
        "embeddings.patch_embedding.weight": _patch_embedding(compact["filters.weight"]),
        "embeddings.position_embedding.weight": positions,
        "pre_layrnorm.weight": scale,
        "pre_layrnorm.bias": bias,
        "post_layernorm.weight": torch.ones(CLIP_WIDTH),
        "post_layernorm.bias": torch.zeros(CLIP_WIDTH),
    }
    for number, layer in enumerate(_LAYERS):
        tensors |= {
            f"encoder.layers.{number}.{name}": tensor for name, tensor in _layer(compact, layer).items()
        }
    return tensors


def _patch_embedding(filters: Tensor) -> Tensor:
    """CLIP's patch embedding, made of the learned filters and of fixed ones for colours.

    The learned filters see luma, the mean of the three channels. The fixed ones are each channel's mean over
    the four quarters of a patch.
    """
    weight = torch.zeros(CLIP_WIDTH, 3, PATCH, PATCH)
    weight[:LUMA] = filters.view(LUMA, 1, PATCH, PATCH) / 3
    half = PATCH // 2
    for number in range(COLOUR):
        quarter, channel = divmod(number, 3)
        top, left = (half * index for index in divmod(quarter, 2))
        weight[LUMA + number, channel, top : top + half, left : left + half] = 1 / half**2
    return weight


def _layer(compact: Mapping[str, Tensor], layer: _Layer) -> dict[str, Tensor]:
    maps = {name: torch.zeros(CLIP_WIDTH, CLIP_WIDTH) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    head = 0
    for look in layer.looks:
        for number, offset in enumerate(look.offsets):
            _look_up(maps["q_proj"], maps["k_proj"], head, offset)
            rows = slice(head * _HEAD, head * _HEAD + look.width)
            summed = look.into.stop - look.into.start == look.width
            part = slice(0, look.width) if summed else slice(number * look.width, (number + 1) * look.width)
            weight = (
                torch.eye(look.width) if look.weight is None else compact[f"{look.weight}.weight"].float()
            )
            maps["v_proj"][rows, _indices(look.seen)] = weight if summed else weight[part]
            maps["out_proj"][look.into.start + part.start : look.into.start + part.stop, rows] = torch.eye(
                look.width
            )
            head += 1
    inner, inner_bias = torch.zeros(_FFN, CLIP_WIDTH), torch.zeros(_FFN)
    outer, outer_bias = torch.zeros(CLIP_WIDTH, _FFN), torch.zeros(CLIP_WIDTH)
    width = len(compact[f"{layer.name}.inner.bias"])
    inner[:width, _indices(layer.known)] = compact[f"{layer.name}.inner.weight"].float()
    inner_bias[:width] = compact[f"{layer.name}.inner.bias"]
    outer[layer.out, :width] = compact[f"{layer.name}.outer.weight"].float()
    outer_bias[layer.out] = compact[f"{layer.name}.outer.bias"]
    tensors = {
        "mlp.fc1.weight": inner,
        "mlp.fc1.bias": inner_bias,
        "mlp.fc2.weight": outer,
        "mlp.fc2.bias": outer_bias,
    }
    for name, weight in maps.items():
        tensors |= {f"self_attn.{name}.weight": weight, f"self_attn.{name}.bias": torch.zeros(CLIP_WIDTH)}
    for norm in ("layer_norm1", "layer_norm2"):
        tensors |= {f"{norm}.weight": torch.ones(CLIP_WIDTH), f"{norm}.bias": torch.zeros(CLIP_WIDTH)}
    return tensors


def _look_up(query: Tensor, key: Tensor, head: int, offset: tuple[int, int]) -> None:
    """Write the query and the key of a head that looks at the patch at `offset`.

    The query asks for the codes of that patch, or, three times as strongly, for the class token if the patch
    is outside the image. The key is the codes.
    """
    codes, cls, first = CODES.start, POSITION - 1, head * _HEAD
    key[first : first + POSITION, CODES] = torch.eye(POSITION)
    query[first + cls, codes + cls] = 3 * _MATCH
    for axis, step in enumerate(offset):
        for index in range(SIDE):
            inside = 0 <= index + step < SIDE
            wanted = axis * SIDE + index + step if inside else cls
            query[first + wanted, codes + axis * SIDE + index] = _MATCH if inside else 3 * _MATCH


def _indices(ranges: tuple[slice, ...]) -> list[int]:
    return [index for part in ranges for index in range(part.start, part.stop)]
