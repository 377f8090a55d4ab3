"""Blank checkpoints are whole, repeatable and honest about themselves."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from phiserve.checkpoint import blank as module
from phiserve.checkpoint.blank import FULL, BlankShape, write_blank
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.errors import StartupError

TINY = BlankShape(hidden_size=32, num_layers=1, num_heads=2, intermediate_size=32)


def weights(folder: Path) -> dict[str, bytes]:
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            names = tensors.keys()
            found.update(
                {name: tensors.get_tensor(name).view(torch.uint8).numpy().tobytes() for name in names}
            )
    return found


def test_repeatable(tmp_path: Path) -> None:
    """Same shape and seed, same bytes; another seed, others."""
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_blank(tmp_path / name, BlankShape(32, 1, 2, 32, seed=seed))
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert a != c


def test_opens_as_blank(tmp_path: Path) -> None:
    """It passes the checks of a real checkpoint and says that it is blank."""
    write_blank(tmp_path / "x", TINY)
    checkpoint = open_checkpoint(str(tmp_path / "x"))
    assert (checkpoint.kind, checkpoint.max_crops, checkpoint.hidden_size) == (CheckpointKind.BLANK, 16, 32)
    on_disk = sum(file.stat().st_size for file in (tmp_path / "x").glob("*.safetensors"))
    assert checkpoint.weight_bytes("auto") == pytest.approx(on_disk, rel=0.1)
    scaling = checkpoint.config["rope_scaling"]
    assert isinstance(scaling, dict)
    assert [len(factors) for factors in scaling.values() if isinstance(factors, list)] == [8, 8]
    assert checkpoint.kv_bytes_per_token("auto") == 2 * 1 * 2 * 16 * 2


def test_shards_cover_every_weight_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With small shards there are many, and the index finds every tensor in its shard."""
    monkeypatch.setattr(module, "MAX_SHARD_BYTES", 2**20)
    write_blank(tmp_path / "x", TINY)
    index = json.loads((tmp_path / "x" / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 3
    for file in set(index.values()):
        with safe_open(tmp_path / "x" / file, "pt") as tensors:
            assert sorted(tensors.keys()) == sorted(name for name, shard in index.items() if shard == file)


def test_full_is_the_real_size() -> None:
    """8.3 GB of bfloat16 (4.15 billion parameters), counted, not written."""
    total = sum(math.prod(shape) for _, shape, _, _ in module.tensor_specs(FULL))
    assert 4.1e9 < total < 4.2e9


@pytest.mark.parametrize(
    "shape",
    [
        BlankShape(hidden_size=33),
        BlankShape(num_heads=5),
        BlankShape(clip_layers=24),
        BlankShape(clip_layers=0),
    ],
)
def test_impossible_shapes(tmp_path: Path, shape: BlankShape) -> None:
    """Shapes that no model has are refused before anything is written."""
    with pytest.raises(StartupError):
        write_blank(tmp_path / "x", shape)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_and_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with files is left alone; a failure leaves no trace."""
    (tmp_path / "mine").write_text("")
    with pytest.raises(StartupError):
        write_blank(tmp_path, TINY)
    monkeypatch.setattr(module, "write_tokenizer", lambda folder: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_blank(tmp_path / "x", TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
