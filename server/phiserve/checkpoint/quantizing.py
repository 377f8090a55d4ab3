"""Quantizes a checkpoint's linear layers, and writes it in compressed-tensors' format."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from phiserve.checkpoint.folders import check_free, dump_json, write_whole
from phiserve.checkpoint.opened import Checkpoint
from phiserve.checkpoint.quantization import (
    GROUP_SIZES,
    MAX_INT4,
    QUANTIZATION_KEY,
    Quantization,
    Scheme,
)
from phiserve.checkpoint.shards import write_shards
from phiserve.checkpoint.weights import StoredTensor, check_weights, stored_tensors
from phiserve.errors import StartupError

MAX_SHARD_BYTES = 2**29
"""Of a shard that is written: it is in memory twice while it is saved."""

_INT4_MULTIPLE = 32
"""vLLM's CPU kernel for int4 takes widths that are multiples of this."""

_INT4_ZERO = 8
"""What 0 is stored as: int4 values are stored without a sign."""

_ROUND_UP = 0.47
"""Less than the half that would be exact: a scale rounded to bfloat16 may be smaller by 1/512."""

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx"}
_LEFT_OUT = {"config.json", "hashes.json"}
"""Written anew, and what only guards the source's own files."""


def quantize_checkpoint(
    source: Checkpoint, folder: Path, quantization: Quantization, progress: Callable[[float], None]
) -> None:
    """Write a quantized checkpoint into `folder`, which must not exist or be empty.

    `source` is a local folder. For INT4 the group size is chosen here. `progress` is called with how much is
    done, 0 to 1. The folder appears whole or not at all, and the same source gives the same bytes. Raises
    StartupError, before anything is written where the weights or the folder are at fault; OSError.
    """
    check_free(folder)
    check_unquantized(source)
    check_weights(source, {})
    stored = stored_tensors(Path(source.model))
    if not stored:
        raise StartupError(f"{source.model} holds no safetensors files, the only ones that can be quantized")
    quantization = _fitted(quantization, stored)
    write_whole(folder, lambda partial: _fill(partial, source, quantization, stored, progress))


def check_unquantized(source: Checkpoint) -> None:
    """Raise StartupError for a checkpoint whose weights are quantized already."""
    if QUANTIZATION_KEY in source.config:
        raise StartupError(
            f"{source.model} is quantized already: quantize the checkpoint that it was made from"
        )


def _fitted(quantization: Quantization, stored: Mapping[str, StoredTensor]) -> Quantization:
    """With the largest group size that divides all widths. Raises StartupError where int4 can't have them."""
    if quantization.scheme is not Scheme.INT4:
        return quantization
    shapes = {name: tensor.shape for name, tensor in stored.items() if quantization.covers(name)}
    for name, shape in shapes.items():
        if any(side % _INT4_MULTIPLE for side in shape):
            raise StartupError(
                f"{name} has the shape {shape}, and int4 takes multiples of {_INT4_MULTIPLE} alone"
            )
    sizes = (size for size in GROUP_SIZES if all(columns % size == 0 for _, columns in shapes.values()))
    return replace(quantization, group_size=next(sizes))


def _fill(
    folder: Path,
    source: Checkpoint,
    quantization: Quantization,
    stored: Mapping[str, StoredTensor],
    progress: Callable[[float], None],
) -> None:
    """Write everything into an existing, empty folder."""
    for path in sorted(Path(source.model).iterdir()):
        is_weights = path.suffix in _WEIGHTS or path.name.endswith(".index.json")
        if path.is_file() and not (is_weights or path.name in _LEFT_OUT or path.name.startswith(".")):
            shutil.copyfile(path, folder / path.name)
    dump_json(folder / "config.json", {**source.config, QUANTIZATION_KEY: quantization.config()})
    write_shards(folder, _tensors(quantization, stored, progress), MAX_SHARD_BYTES)


def _tensors(
    quantization: Quantization, stored: Mapping[str, StoredTensor], progress: Callable[[float], None]
) -> Iterator[tuple[str, Tensor]]:
    """All tensors of the quantized checkpoint, one after the other."""
    for done, (name, entry) in enumerate(stored.items(), 1):
        # Opened for each tensor: while a file is open, all that was read of it counts as our memory.
        with safe_open(entry.file, framework="pt") as file:
            tensor = file.get_tensor(name)
        if quantization.covers(name):
            yield from quantized(name, tensor, quantization).items()
        else:
            yield name, tensor
        progress(done / len(stored))


def quantized(name: str, weight: Tensor, quantization: Quantization) -> dict[str, Tensor]:
    """What stands for a weight (rows, columns), by the names that vLLM looks for.

    Every value times its scale is within half a scale of the weight's. Raises StartupError for a weight that
    holds what is no number.
    """
    if quantization.scheme is Scheme.INT8:
        values, scales = _rounded(weight.float(), quantization.max_int8, torch.float32, name)
        return {name: values, f"{name}_scale": scales}
    rows, columns = weight.shape
    dtype = torch.float16 if weight.dtype == torch.float16 else torch.bfloat16
    groups = weight.float().view(rows, -1, quantization.group_size)
    values, scales = _rounded(groups, MAX_INT4, dtype, name)
    return {
        f"{name}_packed": _packed(values.view(rows, columns)),
        f"{name}_scale": scales.squeeze(-1).contiguous(),
        f"{name}_shape": torch.tensor([rows, columns]),
    }


def _rounded(weight: Tensor, largest: int, dtype: torch.dtype, name: str) -> tuple[Tensor, Tensor]:
    """int8 values from -`largest` to `largest`, and a scale of `dtype` for each last dimension."""
    extremes = weight.abs().amax(-1, keepdim=True)
    if not extremes.isfinite().all():
        raise StartupError(f"{name} holds values that are no finite numbers")
    scales = (extremes / (largest + _ROUND_UP)).to(dtype)
    scales = torch.where(scales > 0, scales, 1)  # of zeros alone, or smaller than the scale's type can tell
    return (weight / scales.float()).round_().clamp_(-largest, largest).to(torch.int8), scales


def _packed(values: Tensor) -> Tensor:
    """Eight int4 values of a row in an int32, the first in its lowest bits: (r, c) -> (r, c / 8)."""
    unsigned = (values + _INT4_ZERO).to(torch.uint8)
    pairs = unsigned[:, ::2] | unsigned[:, 1::2] << 4
    return pairs.contiguous().view(torch.int32)
