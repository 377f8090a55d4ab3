"""The vision tower as it is trained: the computation that `phiserve.checkpoint.demo_tower` writes into CLIP's layers.

Attention is exact shifting here; in CLIP it is softmax over one-hot codes, which comes to the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from phiserve.checkpoint.demo_tower import (
    COLOUR,
    CONSTANT,
    CONSTANTS,
    HIDDEN,
    LUMA,
    OFFSETS,
    OUT,
    PATCH,
    PRE_SCALE,
    SIDE,
    VALUE,
    position_codes,
)
from phiserve.checkpoint.opened import CLIP_WIDTH
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD

FEATURES = COLOUR + OUT + 2 * SIDE
"""Width of what the tower tells of a patch: its colours, the last layer's output, where it is."""

_EPSILON = 1e-5


class TowerLayer(nn.Module):
    """One CLIP layer: neighbours' values, then an MLP of all that is known of a patch."""

    def __init__(self, width_seen: int, width_known: int, hidden: int) -> None:
        """`width_seen`: channels that values are made of; `width_known`: channels the MLP reads; `hidden`: its width."""
        super().__init__()
        self.value = nn.Linear(width_seen, VALUE * len(OFFSETS), bias=False)
        self.inner = nn.Linear(width_known, hidden)
        self.outer = nn.Linear(hidden, OUT)
        nn.init.normal_(self.outer.weight, std=0.3 * hidden**-0.5)

    def see(self, parts: list[Tensor], stream: list[Tensor]) -> Tensor:
        """What the neighbours tell: parts of the residual stream (n, 577, width) -> (n, 577, 8 * VALUE)."""
        return neighbours(self.value(norm(parts, stream)))

    def think(self, parts: list[Tensor], stream: list[Tensor]) -> Tensor:
        """The MLP's output: (n, 577, OUT). CLIP's activation is an approximation of GELU."""
        hidden = self.inner(norm(parts, stream))
        output: Tensor = self.outer(hidden * torch.sigmoid(1.702 * hidden))
        return output


class Tower(nn.Module):
    """Crops -> features of patches, as CLIP with this tower's weights computes them."""

    codes: Tensor

    def __init__(self) -> None:
        super().__init__()
        pixels, near = LUMA + COLOUR, VALUE * len(OFFSETS)
        self.filters = nn.Linear(PATCH * PATCH, LUMA, bias=False)
        self.first = TowerLayer(pixels, pixels + near, HIDDEN[0])
        self.second = TowerLayer(pixels + OUT, pixels + near + OUT + near, HIDDEN[1])
        self.register_buffer("codes", position_codes(), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """uint8 (n, 336, 336, 3) -> features (n, 576, FEATURES), patches row by row."""
        pixels, codes = self._embed(crops)
        near1 = self.first.see([pixels], [pixels, codes])
        out1 = self.first.think([pixels, near1], [pixels, codes, near1])
        stream = [pixels, codes, near1, out1]
        near2 = self.second.see([pixels, out1], stream)
        out2 = self.second.think([pixels, near1, out1, near2], [*stream, near2])
        return torch.cat([pixels[..., LUMA:], out2, codes[..., : 2 * SIDE]], -1)[:, 1:]

    def _embed(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels and codes after CLIP's first norm, the class token in front: (n, 577, width) each."""
        luma, colour = pixel_means(crops)
        pixels = functional.pad(torch.cat([self.filters(luma), colour], -1), (0, 0, 1, 0))
        codes = self.codes.expand(len(crops), -1, -1)
        mean, scale = _statistics([pixels, codes])
        return (pixels - mean) * scale * PRE_SCALE, (codes - mean) * scale * PRE_SCALE


def pixel_means(crops: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 (n, 336, 336, 3) -> of each patch its pixels' luma (n, 576, 196) and its quarters' colours (n, 576, COLOUR).

    Luma is the plain mean of the normalised channels; a quarter is 7 x 7 px.
    """
    mean, std = torch.tensor(IMAGE_MEAN), torch.tensor(IMAGE_STD)
    pixels = (crops.float() / 255 - mean) / std
    patches = pixels.view(-1, SIDE, PATCH, SIDE, PATCH, 3).transpose(2, 3)
    luma = patches.mean(-1).reshape(-1, SIDE * SIDE, PATCH * PATCH)
    quarters = patches.reshape(-1, SIDE * SIDE, 2, PATCH // 2, 2, PATCH // 2, 3).mean((3, 5))
    return luma, quarters.flatten(2)


def norm(parts: list[Tensor], stream: list[Tensor]) -> Tensor:
    """Layer norm over the whole residual stream, of the parts that are read, side by side."""
    mean, scale = _statistics(stream)
    return (torch.cat(parts, -1) - mean) * scale


def _statistics(stream: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and inverse deviation over the 1024 channels, constants included; channels nobody wrote to are zero."""
    total = torch.stack([part.float().sum(-1, keepdim=True) for part in stream]).sum(0)
    squares = torch.stack([part.float().square().sum(-1, keepdim=True) for part in stream]).sum(0)
    mean = total / CLIP_WIDTH
    variance = (squares + CONSTANTS * CONSTANT**2) / CLIP_WIDTH - mean.square()
    return mean, torch.rsqrt(variance + _EPSILON)


def neighbours(values: Tensor) -> Tensor:
    """Hand each patch its neighbours' values: head k (`VALUE` channels) from `OFFSETS[k]`, outside the picture the class token's.

    (n, 577, 8 * VALUE) -> the same shape. The class token sees itself.
    """
    outside, patches = values[:, :1], values[:, 1:]
    grid = torch.unflatten(patches - outside, 1, (SIDE, SIDE))
    grid = torch.unflatten(functional.pad(grid, (0, 0, 1, 1, 1, 1)), -1, (len(OFFSETS), VALUE))
    shifted = [grid[:, 1 + down : 1 + down + SIDE, 1 + right : 1 + right + SIDE, k] for k, (down, right) in enumerate(OFFSETS)]
    return torch.cat([outside, torch.cat(shifted, -1).flatten(1, 2) + outside], 1)
