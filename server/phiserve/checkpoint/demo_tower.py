"""How the demo model's vision tower lies in CLIP: a small network of 3 x 3 patches, written as two of CLIP's layers.

CLIP's residual stream has 1024 channels, of which each part of the network owns a range. Attention is not learned: each of
eight heads looks at one neighbouring patch, found by one-hot codes of rows and columns, and outside the picture at the class
token. What is learned are linear maps and MLPs. Constant channels keep layer norms nearly linear. `demo/tower.py` trains the
same computation.
"""

from collections.abc import Mapping
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from phiserve.checkpoint.opened import CLIP_WIDTH

SIDE, PATCH = 24, 14
"""Patches in a row of a crop, and pixels in a row of a patch."""

OFFSETS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))
"""Which neighbour each attention head looks at, in patches."""

LUMA, COLOUR, POSITION, VALUE, OUT = 116, 12, 2 * SIDE + 1, 32, 144
"""Widths: learned filters, colour means of quarters, one-hot codes, what a head carries, a layer's output."""

HIDDEN = (512, 640)
"""Width of each layer's MLP."""

CONSTANTS, CONSTANT = 46, 16.0
"""Number and height of constant channels, half of them negative."""

CODE = 7.0
"""Height of the one-hot codes before the first norm."""

PRE_SCALE = 4.0
"""Weight of the first norm: about undoes its division."""

SEPARATOR = CLIP_WIDTH - 1
"""A channel that no picture ever sets: Phi-3-vision's separators are ones there."""

_NEAR = VALUE * len(OFFSETS)
PIXELS, CODES, NEAR1, OUT1, NEAR2, OUT2, CONST = (
    slice(*ends) for ends in pairwise(accumulate((LUMA + COLOUR, POSITION, _NEAR, OUT, _NEAR, OUT, CONSTANTS), initial=0))
)
"""Ranges of the residual stream."""

_HEAD = 64
_FFN = 4096
_MATCH = 64.0
"""How much a matching code counts to attention: about e^-40 is left for every other patch."""

_LAYERS = (
    ("first", (PIXELS,), (PIXELS, NEAR1), NEAR1, OUT1),
    ("second", (PIXELS, OUT1), (PIXELS, NEAR1, OUT1, NEAR2), NEAR2, OUT2),
)
"""Name, channels that values are made of, channels the MLP reads, where values and the MLP's output go."""


def position_codes() -> Tensor:
    """One-hot codes of row, column and class token: (577, POSITION), the class token first."""
    codes = torch.zeros(1 + SIDE * SIDE, POSITION)
    codes[0, -1] = CODE
    places = torch.arange(SIDE * SIDE)
    codes[1 + places, places // SIDE] = CODE
    codes[1 + places, SIDE + places % SIDE] = CODE
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
        tensors |= {f"encoder.layers.{number}.{name}": tensor for name, tensor in _layer(compact, *layer).items()}
    return tensors


def _patch_embedding(filters: Tensor) -> Tensor:
    """Filters of luma, the mean of the three channels, and each channel's mean over the four quarters of a patch."""
    weight = torch.zeros(CLIP_WIDTH, 3, PATCH, PATCH)
    weight[:LUMA] = filters.view(LUMA, 1, PATCH, PATCH) / 3
    half = PATCH // 2
    for number in range(COLOUR):
        quarter, channel = divmod(number, 3)
        top, left = (half * place for place in divmod(quarter, 2))
        weight[LUMA + number, channel, top : top + half, left : left + half] = 1 / half**2
    return weight


def _layer(
    compact: Mapping[str, Tensor], name: str, seen: tuple[slice, ...], known: tuple[slice, ...], near: slice, out: slice
) -> dict[str, Tensor]:
    query, key = _look_ups()
    value, carry = torch.zeros(CLIP_WIDTH, CLIP_WIDTH), torch.zeros(CLIP_WIDTH, CLIP_WIDTH)
    for head in range(len(OFFSETS)):
        rows = slice(head * _HEAD, head * _HEAD + VALUE)
        own = slice(head * VALUE, (head + 1) * VALUE)
        value[rows, _indices(seen)] = compact[f"{name}.value.weight"][own].float()
        carry[near.start + own.start : near.start + own.stop, rows] = torch.eye(VALUE)
    inner, inner_bias = torch.zeros(_FFN, CLIP_WIDTH), torch.zeros(_FFN)
    outer, outer_bias = torch.zeros(CLIP_WIDTH, _FFN), torch.zeros(CLIP_WIDTH)
    width = len(compact[f"{name}.inner.bias"])
    inner[:width, _indices(known)] = compact[f"{name}.inner.weight"].float()
    inner_bias[:width] = compact[f"{name}.inner.bias"]
    outer[out, :width] = compact[f"{name}.outer.weight"].float()
    outer_bias[out] = compact[f"{name}.outer.bias"]
    tensors = {"mlp.fc1.weight": inner, "mlp.fc1.bias": inner_bias, "mlp.fc2.weight": outer, "mlp.fc2.bias": outer_bias}
    for projection, weight in (("q_proj", query), ("k_proj", key), ("v_proj", value), ("out_proj", carry)):
        tensors |= {f"self_attn.{projection}.weight": weight, f"self_attn.{projection}.bias": torch.zeros(CLIP_WIDTH)}
    for norm in ("layer_norm1", "layer_norm2"):
        tensors |= {f"{norm}.weight": torch.ones(CLIP_WIDTH), f"{norm}.bias": torch.zeros(CLIP_WIDTH)}
    return tensors


def _look_ups() -> tuple[Tensor, Tensor]:
    """Queries that ask for the neighbour's codes, or thrice for the class token outside the picture; keys that are the codes."""
    query, key = torch.zeros(CLIP_WIDTH, CLIP_WIDTH), torch.zeros(CLIP_WIDTH, CLIP_WIDTH)
    codes, cls = CODES.start, POSITION - 1
    for head, offset in enumerate(OFFSETS):
        first = head * _HEAD
        key[first : first + POSITION, CODES] = torch.eye(POSITION)
        query[first + cls, codes + cls] = 3 * _MATCH
        for axis, step in enumerate(offset):
            for place in range(SIDE):
                inside = 0 <= place + step < SIDE
                wanted = axis * SIDE + place + step if inside else cls
                query[first + wanted, codes + axis * SIDE + place] = _MATCH if inside else 3 * _MATCH
    return query, key


def _indices(ranges: tuple[slice, ...]) -> list[int]:
    return [index for part in ranges for index in range(part.start, part.stop)]
