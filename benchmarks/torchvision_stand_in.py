"""A stand-in for torchvision, for the model repository's image processor alone: what it calls, step for step
as there.

It is written into that code in place of the import: a package of torchvision's name that lacks the rest of it
would mislead transformers. Source: torchvision 0.17, `transforms/transforms.py`, `functional.py` and
`_functional_pil.py`.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps


class Compose:
    """One transformation after another."""

    def __init__(self, steps: Sequence[Callable[[Any], Any]]) -> None:
        self._steps = steps

    def __call__(self, image: Any) -> Any:
        """Apply all."""
        for step in self._steps:
            image = step(image)
        return image


class ToTensor:
    """An RGB image -> float32 (3, height, width), 0 to 1."""

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """A copy."""
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
        return pixels.permute(2, 0, 1).contiguous().to(torch.get_default_dtype()).div(255)


class Normalize:
    """Subtract `mean`, divide by `std`, for each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean = mean
        self._std = std

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy."""
        mean = torch.as_tensor(self._mean, dtype=tensor.dtype).view(-1, 1, 1)
        std = torch.as_tensor(self._std, dtype=tensor.dtype).view(-1, 1, 1)
        return tensor.clone().sub_(mean).div_(std)


def resize(img: Image.Image, size: Sequence[int]) -> Image.Image:
    """Bilinear, to `size` (height, width)."""
    height, width = size
    return img.resize((width, height), Image.Resampling.BILINEAR)


def pad(img: Image.Image, padding: Sequence[int], fill: Sequence[int]) -> Image.Image:
    """Add borders of one colour: left, top, right, bottom."""
    left, top, right, bottom = padding
    red, green, blue = fill
    return ImageOps.expand(img, border=(left, top, right, bottom), fill=(red, green, blue))


_functional = SimpleNamespace(resize=resize, pad=pad)
torchvision = SimpleNamespace(
    transforms=SimpleNamespace(
        Compose=Compose, Normalize=Normalize, ToTensor=ToTensor, functional=_functional
    )
)
