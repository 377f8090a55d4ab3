"""Whether a checkpoint's safetensors files hold the model, by their headers, before any engine starts.

Reads no tensor: a header is some hundred kilobytes, however large its file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, JsonValue, ValidationError
from safetensors import SafetensorError, safe_open

from phiserve.checkpoint.blank import BlankShape, tensor_specs
from phiserve.checkpoint.opened import Checkpoint
from phiserve.checkpoint.quantization import QUANTIZATION_KEY, Quantization
from phiserve.checkpoint.shards import INDEX
from phiserve.errors import StartupError

_FLOATS = ("BF16", "F16", "F32", "F64")
"""What weights may be stored as; vLLM converts them to the engine's dtype."""

_INTEGERS = ("I8", "I32", "I64")
"""What quantized weights are stored as besides."""

_LOAD_FORMATS = ("auto", "hf", "safetensors")
"""Values of vLLM's `load_format` with which it reads safetensors."""

_REMEDY = "fetch the checkpoint again, whole"
_QKV = "self_attn.qkv_proj.weight"
_SPLIT = ((_QKV, "self_attn.q_proj.weight"), ("mlp.gate_up_proj.weight", "mlp.gate_proj.weight"))
_NOT_NEEDED = "model.vision_embed_tokens.img_processor.vision_model.post_layernorm"
"""CLIP's last norm, which comes after the features are taken."""

_LFS_POINTER = b"version https://git-lfs"
_LENGTH_BYTES = 8
"""A file begins with the length of its header in so many bytes, little-endian."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """What a header says of a tensor."""

    file: Path
    dtype: str
    shape: tuple[int, ...]


class _Index(BaseModel):
    """The part of the index that says which file holds which tensor."""

    weight_map: dict[str, str]


def check_weights(checkpoint: Checkpoint, engine_arguments: Mapping[str, object]) -> None:
    """Check that the weights are all there, in files that are whole.

    `engine_arguments` are vLLM's. Does nothing for a hub repository, whose files are not here, for weights in
    other formats than safetensors, and for those that others have quantized, whose tensors have other names.
    Raises StartupError, which names file and tensor.
    """
    folder = Path(checkpoint.model)
    if not folder.is_dir() or engine_arguments.get("load_format", "auto") not in _LOAD_FORMATS:
        return
    stored, quantization = stored_tensors(folder), Quantization.of(checkpoint.config)
    by_others = QUANTIZATION_KEY in checkpoint.config and quantization is None
    if not stored or by_others or engine_arguments.get("quantization"):
        return
    for name, shape in _needed(checkpoint).items():
        if _is_split(name, stored):
            continue
        is_quantized = quantization is not None and quantization.covers(name)
        parts = quantization.stored(name, *shape) if quantization and is_quantized else {name: shape}
        for part, size in parts.items():
            _check_tensor(part, size, stored.get(part), folder, _INTEGERS if is_quantized else ())


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of a folder by their names, in the order of its files; {} where no file is safetensors.

    Raises StartupError for files that are missing or not whole.
    """
    return {name: tensor for file in _weight_files(folder) for name, tensor in _tensors_of(file).items()}


def _check_tensor(
    name: str, shape: tuple[int, ...], stored: StoredTensor | None, folder: Path, integers: Sequence[str]
) -> None:
    if stored is None:
        raise StartupError(f"The weights in {folder} lack the tensor {name}; {_REMEDY}")
    if stored.shape != shape:
        raise StartupError(
            f"{name} in {stored.file} has the shape {stored.shape}, but config.json asks for {shape}; "
            f"{_REMEDY}"
        )
    if stored.dtype not in (*_FLOATS, *integers):
        raise StartupError(
            f"{name} in {stored.file} is stored as {stored.dtype}, not as one of {', '.join(_FLOATS)}; "
            f"{_REMEDY}"
        )


def _needed(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """The tensors that vLLM would miss, and their shapes."""
    heads, kv_heads, head_size = checkpoint.attention
    shape = BlankShape(
        checkpoint.hidden_size,
        checkpoint.num_layers,
        heads,
        checkpoint.intermediate_size,
        checkpoint.clip_layers,
    )
    needed = {name: size for name, size, _, _ in tensor_specs(shape) if not name.startswith(_NOT_NEEDED)}
    for name in needed:
        if name.endswith(_QKV):
            needed[name] = ((heads + 2 * kv_heads) * head_size, checkpoint.hidden_size)
    if checkpoint.config.get("tie_word_embeddings"):
        del needed["lm_head.weight"]
    return needed


def _is_split(name: str, stored: Mapping[str, object]) -> bool:
    """Whether the tensor is stored as several, which vLLM puts together."""
    parts = (name.removesuffix(whole) + part for whole, part in _SPLIT if name.endswith(whole))
    return any(part in stored or f"{part}_packed" in stored for part in parts)


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files that vLLM would load. Raises StartupError where there are no weights at all."""
    index = folder / INDEX
    if not index.is_file():
        files = sorted(folder.glob("*.safetensors"))
        if not files and not any(folder.glob("*.bin")) and not any(folder.glob("*.pt")):
            raise StartupError(f"{folder} holds no weights: no .safetensors file is there; {_REMEDY}")
        return files
    try:
        weight_map = _Index.model_validate_json(index.read_bytes()).weight_map
    except ValidationError as error:
        raise StartupError(f"{index} is damaged; {_REMEDY}") from error
    except OSError as error:
        raise _unreadable(index, error) from error
    names = sorted(set(weight_map.values()))
    for name in names:
        if not (folder / name).is_file():
            raise StartupError(f"{index} names the file {name}, which is not there; {_REMEDY}")
    return [folder / name for name in names]


def _tensors_of(file: Path) -> dict[str, StoredTensor]:
    """What a file's header lists. Raises StartupError for a file that is not whole."""
    try:
        with safe_open(file, framework="np") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 - no mapping
            return {
                name: StoredTensor(file, part.get_dtype(), tuple(part.get_shape()))
                for name, part in slices.items()
            }
    except OSError as error:
        raise _unreadable(file, error) from error
    except SafetensorError as error:
        raise StartupError(f"{file} {_damage(file)}; {_REMEDY}") from error


def _unreadable(file: Path, error: OSError) -> StartupError:
    return StartupError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}")


def _damage(file: Path) -> str:
    """What is wrong with a file that the library refuses."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        beginning = opened.read(len(_LFS_POINTER))
        opened.seek(0)
        length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        header = opened.read(length) if length <= size else b""
    if beginning == _LFS_POINTER:
        return "is a pointer of Git LFS, not the weights (git lfs pull fetches them)"
    if size < _LENGTH_BYTES:
        return f"is cut short: it has {size} bytes"
    try:
        whole = _LENGTH_BYTES + length + _end_of_data(json.loads(header))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return "has a broken header"
    return f"is cut short: it has {size} of {whole} bytes" if size < whole else "has a broken header"


def _end_of_data(header: Mapping[str, Mapping[str, list[JsonValue]]]) -> int:
    ends = (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    return max((end for end in ends if isinstance(end, int)), default=0)
