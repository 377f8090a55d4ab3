"""The vision tower as it is trained: the computation that `phiserve.checkpoint.demo_tower` writes into CLIP's
layers.

Attention is exact shifting here; in CLIP it is softmax over one-hot codes, which comes to the same.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from phiserve.checkpoint.demo_tower import (
    COLOUR,
    CONSTANT,
    CONSTANTS,
    COUNT,
    FURTHER_LEFT,
    HIDDEN,
    LEFT,
    LUMA,
    NEAR,
    NEIGHBOURS,
    OUT,
    PATCH,
    POSITION,
    PRE_SCALE,
    SIDE,
    VALUE,
    Offsets,
    position_codes,
)
from phiserve.checkpoint.opened import CLIP_WIDTH
from phiserve.vision.normalisation import IMAGE_MEAN, IMAGE_STD

FEATURES = COLOUR + OUT + 2 * SIDE
"""Width of what the tower tells of a patch: its colours, the last layer's output, where it is."""

_EPSILON = 1e-5


class Thought(nn.Module):
    """The MLP of a CLIP layer."""

    def __init__(self, width_known: int, hidden: int) -> None:
        """`width_known`: channels it reads; `hidden`: its own width."""
        super().__init__()
        self.inner = nn.Linear(width_known, hidden)
        self.outer = nn.Linear(hidden, OUT)
        nn.init.normal_(self.outer.weight, std=0.3 * hidden**-0.5)

    def think(self, parts: list[Tensor], stream: list[Tensor]) -> Tensor:
        """Parts of the residual stream (n, 577, width) -> (n, 577, OUT). CLIP's activation is an
        approximation of GELU.
        """
        hidden = self.inner(norm(parts, stream))
        output: Tensor = self.outer(hidden * torch.sigmoid(1.702 * hidden))
        return output


class TowerLayer(Thought):
    """A CLIP layer that looks at the neighbours first."""

    def __init__(self, width_seen: int, width_known: int, hidden: int) -> None:
        """`width_seen`: channels that values are made of."""
        super().__init__(width_known, hidden)
        self.value = nn.Linear(width_seen, NEAR, bias=False)

    def see(self, parts: list[Tensor], stream: list[Tensor]) -> Tensor:
        """What the neighbours tell: parts of the residual stream (n, 577, width) -> (n, 577, NEAR)."""
        return look(
            self.value(norm(parts, stream)).unflatten(-1, (len(NEIGHBOURS), VALUE)), NEIGHBOURS
        ).flatten(2)


class Tower(nn.Module):
    """Crops -> features of patches, as CLIP with this tower's weights computes them."""

    codes: Tensor

    def __init__(self) -> None:
        super().__init__()
        pixels = LUMA + COLOUR
        self.filters = nn.Linear(PATCH * PATCH, LUMA, bias=False)
        self.first = TowerLayer(pixels, pixels + NEAR, HIDDEN[0])
        self.second = TowerLayer(pixels + OUT, pixels + NEAR + OUT + NEAR, HIDDEN[1])
        self.count = nn.Linear(pixels + OUT, COUNT, bias=False)
        self.third = Thought(POSITION + OUT + 2 * COUNT, HIDDEN[2])
        self.register_buffer("codes", position_codes(), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """uint8 (n, 336, 336, 3) -> features (n, 576, FEATURES), patches row by row."""
        pixels, codes = self._embed(crops)
        near1 = self.first.see([pixels], [pixels, codes])
        out1 = self.first.think([pixels, near1], [pixels, codes, near1])
        stream = [pixels, codes, near1, out1]
        near2 = self.second.see([pixels, out1], stream)
        left = look_and_add(self.count(norm([pixels, out1], stream)), LEFT)
        stream += [near2, left]
        out2 = self.second.think([pixels, near1, out1, near2], stream)
        stream.append(out2)
        further = look_and_add(norm([left], stream), FURTHER_LEFT)
        out3 = out2 + self.third.think([codes, out2, left, further], [*stream, further])
        return torch.cat([pixels[..., LUMA:], out3, codes[..., : 2 * SIDE]], -1)[:, 1:]

    def _embed(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels and codes after CLIP's first norm, the class token in front: (n, 577, width) each."""
        luma, colour = pixel_means(crops)
        pixels = functional.pad(torch.cat([self.filters(luma), colour], -1), (0, 0, 1, 0))
        codes = self.codes.expand(len(crops), -1, -1)
        mean, scale = _statistics([pixels, codes])
        return (pixels - mean) * scale * PRE_SCALE, (codes - mean) * scale * PRE_SCALE


def pixel_means(crops: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 (n, 336, 336, 3) -> of each patch its pixels' luma (n, 576, 196) and its quarters' colours (n,
    576, COLOUR).

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
    """Mean and inverse deviation over the 1024 channels, constants included; channels nobody wrote to are
    zero.
    """
    total = torch.stack([part.float().sum(-1, keepdim=True) for part in stream]).sum(0)
    squares = torch.stack([part.float().square().sum(-1, keepdim=True) for part in stream]).sum(0)
    mean = total / CLIP_WIDTH
    variance = (squares + CONSTANTS * CONSTANT**2) / CLIP_WIDTH - mean.square()
    return mean, torch.rsqrt(variance + _EPSILON)


def look(values: Tensor, offsets: Offsets) -> Tensor:
    """Hand each patch the values of the patches `offsets` away, head by head; outside the picture the class
    token's.

    (n, 577, heads, width) -> the same shape. The class token sees itself.
    """
    reach = max(abs(step) for offset in offsets for step in offset)
    outside, patches = values[:, :1], values[:, 1:]
    grid = functional.pad(torch.unflatten(patches - outside, 1, (SIDE, SIDE)), (0, 0, 0, 0, *([reach] * 4)))
    shifted = [
        grid[:, reach + down : reach + down + SIDE, reach + right : reach + right + SIDE, head]
        for head, (down, right) in enumerate(offsets)
    ]
    return torch.cat([outside, torch.stack(shifted, 3).flatten(1, 2) + outside], 1)


def look_and_add(values: Tensor, offsets: Offsets) -> Tensor:
    """The sum of the values of the patches `offsets` away: (n, 577, width) -> the same shape."""
    return look(values[:, :, None].expand(-1, -1, len(offsets), -1), offsets).sum(2)
