"""Weights go into files of a bounded size, and the index says where each is."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from phiserve.checkpoint.shards import INDEX, write_shards


def test_shards(tmp_path: Path) -> None:
    """As many tensors as fit; one that is too large has a file of its own."""
    sizes = {"a": 3, "b": 5, "c": 1, "d": 9, "e": 2}
    tensors = {name: torch.full((size,), size, dtype=torch.uint8) for name, size in sizes.items()}
    write_shards(tmp_path, iter(tensors.items()), 8)
    files = {path.name: load_file(path) for path in sorted(tmp_path.glob("*.safetensors"))}
    assert [list(held) for held in files.values()] == [["a", "b"], ["c"], ["d"], ["e"]]
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["weight_map"] == {name: file for file, held in files.items() for name in held}
    assert index["metadata"]["total_size"] == sum(sizes.values())
    assert all(
        torch.equal(files[index["weight_map"][name]][name], tensor) for name, tensor in tensors.items()
    )
