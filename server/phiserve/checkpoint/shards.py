"""Writes weights in shards with an index: no more than one shard is in memory."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from phiserve.checkpoint.folders import dump_json

if TYPE_CHECKING:  # it takes seconds to import, which a server that writes nothing does later
    from torch import Tensor

INDEX = "model.safetensors.index.json"


def write_shards(folder: Path, tensors: "Iterable[tuple[str, Tensor]]", max_bytes: int) -> None:
    """Write tensors, which come one by one with their names, into files of at most `max_bytes` each.

    A tensor that is larger has a file of its own. Raises OSError.
    """
    from safetensors.torch import save_file

    weight_map: dict[str, str] = {}
    shard: dict[str, Tensor] = {}
    size = total = 0

    def flush() -> None:
        """Write the shard and begin another."""
        nonlocal shard, size
        name = f"model-{len(set(weight_map.values())) + 1:05d}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, name))
        shard, size = {}, 0

    for name, tensor in tensors:
        if size and size + tensor.nbytes > max_bytes:
            flush()
        shard[name] = tensor
        size += tensor.nbytes
        total += tensor.nbytes
    flush()
    dump_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
