"""Which quantized weights this host multiplies, asked of vLLM's kernels before anything is loaded."""

from functools import cache

import torch
from vllm.platforms import current_platform

from phiserve.checkpoint.quantization import MAX_INT8, MAX_INT8_OVERFLOWING, Quantization, Scheme
from phiserve.engine.host import Host
from phiserve.errors import StartupError

_INT_CAPABILITY = 75
_FP8_CAPABILITY = 89
"""GPUs from Turing on, as vLLM's schemes say, and from Ada on, which multiply fp8."""

_INT8_KERNEL = "onednn_scaled_mm"
_HALVES = ("bfloat16", "float16", "half")
_PROBE_SIDE = 64


def check_kernels(quantization: Quantization | None, host: Host) -> None:
    """Raise StartupError where the host lacks kernels for weights that are quantized so."""
    match quantization:
        case None:
            return
        case Quantization() if not host.is_cpu:
            _check_gpu(quantization.scheme, host)
        case Quantization(scheme=Scheme.FP8):
            raise StartupError("fp8 weights need a GPU that multiplies fp8; a CPU takes int8 weights")
        case Quantization(scheme=Scheme.INT4) if not _has_kernel("cpu_gemm_wna16"):
            raise StartupError(
                f"int4 weights need a CPU with AVX-512, and this one has {_instructions()}: use int8 weights"
            )
        case Quantization(scheme=Scheme.INT8) if not _has_kernel(_INT8_KERNEL):
            raise StartupError(
                f"vLLM has no int8 kernel for this CPU ({_instructions()}): serve whole weights"
            )
        case Quantization(scheme=Scheme.INT8) if quantization.max_int8 > max_int8(host):
            raise StartupError(
                "Products of these int8 weights overflow on this CPU, which has no VNNI: quantize again with "
                "--seven-bit, or serve the original with --quantize int8"
            )


def check_dtype(quantization: Quantization | None, host: Host, dtype: str) -> None:
    """Raise StartupError where kernels for weights that are quantized so don't take the engine's dtype."""
    if quantization is None or dtype in ("auto", *_HALVES):
        return
    # With AMX, vLLM takes another kernel for int8.
    has_amx = torch.cpu.get_capabilities().get("amx_tile", False)
    if host.is_cpu and quantization.scheme is Scheme.INT8 and not has_amx:
        return
    raise StartupError(f"{quantization.scheme} weights need an engine.dtype of 16 bits here, not {dtype}")


def max_int8(host: Host) -> int:
    """The largest int8 weight with which the host multiplies exactly."""
    is_tried = host.is_cpu and _has_kernel(_INT8_KERNEL)
    return MAX_INT8_OVERFLOWING if is_tried and _overflows() else MAX_INT8


def _check_gpu(scheme: Scheme, host: Host) -> None:
    least = _FP8_CAPABILITY if scheme is Scheme.FP8 else _INT_CAPABILITY
    if not current_platform.has_device_capability(least):
        raise StartupError(
            f"{scheme} weights need a GPU of capability {least / 10} or more, not {host.device}"
        )


def _has_kernel(name: str) -> bool:
    """Whether the library that vLLM has loaded for this CPU holds a kernel."""
    from vllm import _custom_ops  # noqa: F401 - loads the library

    return hasattr(torch.ops._C, name)  # noqa: SLF001 - where vLLM registers its kernels


@cache
def _overflows() -> bool:
    """Whether int8 products are cut off: tried on the largest there are."""
    from vllm import _custom_ops as ops

    side = _PROBE_SIDE
    largest = torch.full((side, side), MAX_INT8, dtype=torch.int8)
    scales, found = torch.ones(side, 1), torch.empty(side, side)  # the handler does not keep its scales alive
    handler = ops.create_onednn_scaled_mm(largest.t(), scales, torch.float32, True, False, 1)
    ops.onednn_scaled_mm(handler, largest, found, scales, None, None, None)
    return bool((found != side * MAX_INT8**2).any())


def _instructions() -> str:
    return torch.backends.cpu.get_cpu_capability()
