"""One linear layer of the decoder as vLLM computes it: whole, int8 and int4 weights, few and many rows.

usage: python -m benchmarks.linear [--inputs N] [--outputs N] [--rows N ...] [--repeat N] [--megabytes N]

Weights are cold, as in decoding: each product takes the next of many layers, which together are larger than
the caches (--megabytes). int8 includes the quantizing of activations, and has weights of the range that this
CPU multiplies exactly. What the CPU has no kernel for is left out. Prints a table and ends in one JSON line:
the median in microseconds of each kind and number of rows.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import parallel_state
from vllm.model_executor.layers.linear import ColumnParallelLinear
from vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors import (
    CompressedTensorsConfig,
)

from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.checkpoint.quantizing import quantized
from phiserve.engine.host import Host, detect_host
from phiserve.engine.kernels import check_kernels, max_int8
from phiserve.errors import StartupError

NAME = "model.layers.0.mlp.down_proj"
"""Of the decoder, so that it is quantized."""


def kinds(host: Host) -> dict[str, tuple[torch.dtype, Quantization | None]]:
    """What is measured on this host: the type of activations, and how weights are quantized."""
    activations = torch.float32 if host.emulates_bf16 else torch.bfloat16
    int8 = Quantization(Scheme.INT8, max_int8=max_int8(host))
    found: dict[str, tuple[torch.dtype, Quantization | None]] = {
        "bf16": (torch.bfloat16, None),
        "float32": (torch.float32, None),
        "int8": (activations, int8),
        "int4": (torch.bfloat16, Quantization(Scheme.INT4)),
    }
    return {name: kind for name, kind in found.items() if _has_kernel(kind[1], host)}


@contextmanager
def one_process() -> Iterator[None]:
    """What vLLM's layers need around them: a configuration, and groups of processes with this one alone."""
    with tempfile.TemporaryDirectory() as folder, set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(1, 0, f"file://{folder}/store", 0, "gloo")
        parallel_state.initialize_model_parallel(1, 1)
        yield
        parallel_state.destroy_model_parallel()
        parallel_state.destroy_distributed_environment()


def layer(inputs: int, outputs: int, dtype: torch.dtype, quantization: Quantization | None) -> nn.Module:
    """A layer with random weights, as vLLM has it once it is loaded."""
    config = None if quantization is None else CompressedTensorsConfig.from_config(quantization.config())
    made: nn.Module = ColumnParallelLinear(
        inputs, outputs, bias=False, params_dtype=dtype, quant_config=config, prefix=NAME
    )
    weight = torch.randn(outputs, inputs).to(torch.bfloat16)
    parts = {"weight": weight} if quantization is None else quantized("weight", weight, quantization)
    for name, tensor in parts.items():
        made.get_parameter(name).data.copy_(tensor)
    made.quant_method.process_weights_after_loading(made)  # type: ignore[union-attr,operator]
    return made


def microseconds(layers: Sequence[nn.Module], given: torch.Tensor, repeat: int) -> float:
    """The median time of a product with the next layer."""
    times = []
    for each in itertools.islice(itertools.cycle(layers), repeat + len(layers)):
        began = time.perf_counter()
        each(given)
        times.append(time.perf_counter() - began)
    return statistics.median(times[len(layers) :]) * 1e6


@torch.inference_mode()
def measure(
    inputs: int, outputs: int, rows: Sequence[int], repeat: int, megabytes: int
) -> dict[str, dict[int, float]]:
    """Microseconds of a product, by the kind of weights and the number of rows."""
    found: dict[str, dict[int, float]] = {}
    for name, (dtype, quantization) in kinds(detect_host()).items():
        torch.set_default_dtype(dtype)
        num_bytes = inputs * outputs * (quantization.bytes_per_weight if quantization else dtype.itemsize)
        count = max(1, round(megabytes * 2**20 / num_bytes))
        layers = [layer(inputs, outputs, dtype, quantization) for _ in range(count)]
        found[name] = {
            number: microseconds(layers, torch.randn(number, inputs, dtype=dtype), repeat) for number in rows
        }
        torch.set_default_dtype(torch.float32)
    return found


def table(found: Mapping[str, Mapping[int, float]]) -> str:
    """A line for each kind: microseconds, and how many times bf16's speed that is."""
    lines = []
    for name, times in found.items():
        cells = (
            f"{number} rows {value:9.0f} us ({found['bf16'][number] / value:4.2f}x)"
            for number, value in times.items()
        )
        lines.append(f"{name:<8} " + "   ".join(cells))
    return "\n".join(lines)


def _has_kernel(quantization: Quantization | None, host: Host) -> bool:
    try:
        check_kernels(quantization, host)
    except StartupError:
        return False
    return True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=3072)
    parser.add_argument("--outputs", type=int, default=8192)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=1024)
    options = parser.parse_args()
    with one_process():
        found = measure(options.inputs, options.outputs, options.rows, options.repeat, options.megabytes)
    print(table(found))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
