"""One layer is measured in every kind of weights that this CPU multiplies, and computes what it should."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.linear import kinds, layer, measure, one_process, table
from phiserve.engine.host import detect_host


@pytest.fixture(autouse=True)
def process() -> Iterator[None]:
    """As the benchmark has it."""
    with one_process():
        yield


def test_measured() -> None:
    """A tiny layer: every kind at every number of rows, with its ratio to bf16."""
    found = measure(64, 96, [1, 3], repeat=2, megabytes=0)
    assert found.keys() == kinds(detect_host()).keys()
    assert {"bf16", "float32", "int8"} <= found.keys()
    assert all(times.keys() == {1, 3} and min(times.values()) > 0 for times in found.values())
    assert table(found).startswith("bf16")
    assert table(found).count("(1.00x)") >= 2
    assert torch.get_default_dtype() == torch.float32


@torch.inference_mode()
def test_products_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the weights that the layers were given, within what quantizing costs."""
    weight = torch.randn(96, 64, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(torch, "randn", lambda *size, **options: weight)
    given = torch.linspace(-1, 1, 3 * 64).view(3, 64)
    exact = given @ weight.t()
    for name, (dtype, quantization) in kinds(detect_host()).items():
        torch.set_default_dtype(dtype)
        found = layer(64, 96, dtype, quantization)(given.to(dtype))[0].float()
        torch.set_default_dtype(torch.float32)
        assert (found - exact).norm() / exact.norm() < (0.15 if name == "int4" else 0.03), name
