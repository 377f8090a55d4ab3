"""Learned tensors of a small demo model, at random."""

import pytest
import torch
from torch import Tensor

from phiserve.checkpoint.demo_tower import COLOUR, COUNT, HIDDEN, LUMA, NEAR, OUT, PATCH, POSITION, SIDE

_WIDTH, _FFN, _LAYERS, _TRAINED = 32, 48, 2, (1, 5, 300, 32007)


@pytest.fixture(scope="session")
def compact() -> dict[str, Tensor]:
    """A decoder of two narrow layers, a tower of the one size there is. Few values, so that they pack
    fast.
    """
    pixels = LUMA + COLOUR
    shapes: dict[str, tuple[int, ...]] = {"tower.filters.weight": (LUMA, PATCH * PATCH)}
    shapes |= {"tower.first.value.weight": (NEAR, pixels), "tower.second.value.weight": (NEAR, pixels + OUT)}
    shapes["tower.count.weight"] = (COUNT, pixels + OUT)
    widths = (pixels + NEAR, pixels + NEAR + OUT + NEAR, POSITION + OUT + 2 * COUNT)
    for name, known, hidden in zip(("first", "second", "third"), widths, HIDDEN, strict=True):
        shapes |= {f"tower.{name}.inner.weight": (hidden, known), f"tower.{name}.outer.weight": (OUT, hidden)}
        shapes |= {f"tower.{name}.inner.bias": (hidden,), f"tower.{name}.outer.bias": (OUT,)}
    shapes["projection.inner.weight"] = (_WIDTH, 4 * (COLOUR + OUT) + 2 * SIDE)
    shapes["projection.outer.weight"] = (_WIDTH, _WIDTH)
    shapes |= {
        f"projection.{name}": (_WIDTH,) for name in ("inner.bias", "outer.bias", "row_end", "view_end")
    }
    shapes |= {"decoder.table": (len(_TRAINED), _WIDTH), "decoder.last_norm": (_WIDTH,)}
    for layer in range(_LAYERS):
        own = f"decoder.layers.{layer}."
        shapes |= {f"{own}qkv.weight": (3 * _WIDTH, _WIDTH), f"{own}out.weight": (_WIDTH, _WIDTH)}
        shapes |= {f"{own}gate_up.weight": (2 * _FFN, _WIDTH), f"{own}down.weight": (_WIDTH, _FFN)}
        shapes |= {f"{own}attention_norm": (_WIDTH,), f"{own}mlp_norm": (_WIDTH,)}
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.randint(1, 4, shape, generator=generator) / 64 for name, shape in shapes.items()}
    return {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()} | {
        "trained_ids": torch.tensor(_TRAINED, dtype=torch.int32)
    }
