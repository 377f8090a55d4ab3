"""Quantized weights that the host cannot multiply, or not exactly, are refused; vLLM's kernels are asked."""

import pytest
import torch
from vllm import _custom_ops as ops
from vllm.platforms import current_platform

from phiserve.checkpoint.quantization import MAX_INT8, Quantization, Scheme
from phiserve.engine import kernels
from phiserve.engine.host import GIB, Host
from phiserve.engine.kernels import check_dtype, check_kernels, max_int8
from phiserve.errors import StartupError

CPU = Host("cpu", 10 * GIB, 20 * GIB, 4)
GPU = Host("NVIDIA L4", 10 * GIB, 20 * GIB, 4)
INT8, INT4, FP8 = (Quantization(scheme) for scheme in Scheme)
HAS_AVX512 = "AVX512" in torch.backends.cpu.get_cpu_capability()


def on_gpu(monkeypatch: pytest.MonkeyPatch, capability: int) -> None:
    """As if vLLM had found a GPU of a capability."""
    monkeypatch.setattr(
        current_platform, "has_device_capability", lambda least: capability >= least, raising=False
    )


def test_this_cpu() -> None:
    """int8 in the range that it multiplies exactly; int4 where it has AVX-512; never fp8."""
    check_kernels(None, CPU)
    check_kernels(Quantization(Scheme.INT8, max_int8=max_int8(CPU)), CPU)
    with pytest.raises(StartupError, match="fp8 weights need a GPU"):
        check_kernels(FP8, CPU)
    if HAS_AVX512:
        check_kernels(INT4, CPU)
    else:
        with pytest.raises(StartupError, match="int4 weights need a CPU with AVX-512, and this one has AVX2"):
            check_kernels(INT4, CPU)


@pytest.mark.parametrize("rows", [1, 3, 64])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_range_is_exact(rows: int, sign: int) -> None:
    """Of the largest products there are, however many rows are multiplied."""
    weight = torch.full((96, 256), sign * max_int8(CPU), dtype=torch.int8)
    scales = torch.ones(96, 1)
    handler = ops.create_onednn_scaled_mm(weight.t(), scales, torch.float32, True, False, 1)
    for activation in (MAX_INT8, -MAX_INT8):
        given = torch.full((rows, 256), activation, dtype=torch.int8)
        found = torch.empty(rows, 96)
        ops.onednn_scaled_mm(handler, given, found, torch.ones(rows, 1), None, None, None)
        assert torch.equal(found, torch.full((rows, 96), 256.0 * activation * sign * max_int8(CPU)))


@pytest.mark.parametrize(("overflows", "largest"), [(True, 64), (False, 127)])
def test_weights_whose_products_overflow(
    overflows: bool, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor without VNNI takes the smaller ones alone; a GPU all."""
    monkeypatch.setattr(kernels, "_overflows", lambda: overflows)
    assert (max_int8(CPU), max_int8(GPU)) == (largest, 127)
    check_kernels(Quantization(Scheme.INT8, max_int8=64), CPU)
    if overflows:
        with pytest.raises(StartupError, match="no VNNI: quantize again with --seven-bit"):
            check_kernels(INT8, CPU)
    else:
        check_kernels(INT8, CPU)


def test_a_processor_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is multiplied to find that out."""
    monkeypatch.setattr(kernels, "_has_kernel", lambda name: False)
    monkeypatch.setattr(kernels, "_overflows", lambda: pytest.fail("there is nothing to multiply with"))
    assert max_int8(CPU) == MAX_INT8
    for quantization in (INT8, INT4):
        with pytest.raises(StartupError, match=r"use int8 weights|serve whole weights"):
            check_kernels(quantization, CPU)


@pytest.mark.parametrize(("capability", "refused"), [(90, []), (80, [FP8]), (70, [INT8, INT4, FP8])])
def test_gpus(capability: int, refused: list[Quantization], monkeypatch: pytest.MonkeyPatch) -> None:
    """By their capability."""
    on_gpu(monkeypatch, capability)
    for quantization in (INT8, INT4, FP8):
        if quantization in refused:
            with pytest.raises(StartupError, match=f"{quantization.scheme} weights need a GPU of capability"):
                check_kernels(quantization, GPU)
        else:
            check_kernels(quantization, GPU)


@pytest.mark.parametrize("amx", [False, True])
def test_dtypes(amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 16 bits, but for int8 on CPUs without AMX."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_tile": amx})
    for quantization in (None, INT8, INT4, FP8):
        for dtype in ("auto", "bfloat16", "half"):
            check_dtype(quantization, CPU, dtype)
    check_dtype(None, CPU, "float32")
    takes_float32 = [] if amx else [INT8]
    for quantization, host in ((INT8, CPU), (INT4, CPU), (INT8, GPU), (FP8, GPU)):
        if host is CPU and quantization in takes_float32:
            check_dtype(quantization, host, "float32")
        else:
            with pytest.raises(StartupError, match=r"an engine\.dtype of 16 bits here, not float32"):
                check_dtype(quantization, host, "float32")
