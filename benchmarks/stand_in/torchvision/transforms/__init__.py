"""`ToTensor` and `Normalize`, `Compose` to chain them, and `functional`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from . import functional

__all__ = ["Compose", "Normalize", "ToTensor", "functional"]


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
    """An RGB picture -> float32 (3, height, width), 0 to 1."""

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
