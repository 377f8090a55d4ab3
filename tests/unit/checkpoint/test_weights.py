"""Weights that are damaged, or not the model's, are refused in a sentence before any engine starts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from phiserve.checkpoint.blank import BlankShape, write_blank
from phiserve.checkpoint.embedded import DEMO_NAME, embedded_checkpoint
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.checkpoint.quantizing import quantize_checkpoint
from phiserve.checkpoint.shards import INDEX
from phiserve.checkpoint.weights import check_weights
from phiserve.errors import StartupError

SHARD = "model-00001.safetensors"
O_PROJ = "model.layers.0.self_attn.o_proj.weight"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_blank(tmp_path / "x", BlankShape(32, 1, 2, 32))
    return tmp_path / "x"


def refusal(folder: Path) -> str:
    """Why the weights are refused."""
    with pytest.raises(StartupError) as caught:
        check_weights(open_checkpoint(str(folder)), {})
    said = str(caught.value)
    assert "\n" not in said
    return said


def rewrite(folder: Path, change: Callable[[Tensors], object]) -> None:
    """Change tensors, and leave everything else as it is."""
    tensors = load_file(folder / SHARD)
    change(tensors)
    save_file(tensors, folder / SHARD)


def test_whole_checkpoints_pass(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, with an index and without, with weights tied and not."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check_weights(open_checkpoint(str(folder)), {})
    check_weights(open_checkpoint(str(embedded_checkpoint(DEMO_NAME, print))), {})
    (folder / INDEX).unlink()
    check_weights(open_checkpoint(str(folder)), {"load_format": "auto"})


@pytest.mark.parametrize("left", [0, 3, 100, -1])
def test_a_file_that_is_cut_short(folder: Path, left: int) -> None:
    """Within its data by one byte, within its header, and within the length of that."""
    content = (folder / SHARD).read_bytes()
    (folder / SHARD).write_bytes(content[:left])
    said = refusal(folder)
    assert f"{folder / SHARD} " in said
    assert "cut short" in said or "broken header" in said
    if left == -1:
        assert f"has {len(content) - 1} of {len(content)} bytes; fetch the checkpoint again" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "pointer of Git LFS"),
        ((3).to_bytes(8, "little") + b"{]}" + b"x" * 9, "broken header"),
        ((2).to_bytes(8, "little") + b"[]" + b"x" * 9, "broken header"),
        (b"\xff" * 64, "broken header"),
        ((12).to_bytes(8, "little") + b'{"a":{"b":1}}', "broken header"),
    ],
)
def test_what_is_no_safetensors_file(folder: Path, content: bytes, said: str) -> None:
    """A pointer to one, a header that is no JSON, or not of the form."""
    (folder / SHARD).write_bytes(content)
    assert said in refusal(folder)


def test_tensors_that_do_not_fit(folder: Path) -> None:
    """Missing, of another shape, stored as whole numbers: tensor and file are named."""
    rewrite(folder, lambda tensors: tensors.update({O_PROJ: tensors[O_PROJ].char()}))
    assert f"{O_PROJ} in {folder / SHARD} is stored as I8" in refusal(folder)
    rewrite(folder, lambda tensors: tensors.update({O_PROJ: torch.zeros(32, 16)}))
    assert (
        f"{O_PROJ} in {folder / SHARD} has the shape (32, 16), but config.json asks for (32, 32)"
        in refusal(folder)
    )
    rewrite(folder, lambda tensors: tensors.pop(O_PROJ))
    assert f"lack the tensor {O_PROJ}" in refusal(folder)


def test_what_vllm_puts_together_or_never_reads(folder: Path) -> None:
    """Projections stored one by one, float32 weights, fewer heads for keys, no norm after CLIP."""

    def change(tensors: Tensors) -> None:
        whole = tensors.pop("model.layers.0.mlp.gate_up_proj.weight").float()
        tensors["model.layers.0.mlp.gate_proj.weight"] = whole[:32].clone()
        tensors["model.layers.0.mlp.up_proj.weight"] = whole[32:].clone()
        tensors["model.layers.0.self_attn.qkv_proj.weight"] = torch.zeros(64, 32)
        for name in [name for name in tensors if "post_layernorm" in name]:
            del tensors[name]

    rewrite(folder, change)
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_key_value_heads": 1}))
    check_weights(open_checkpoint(str(folder)), {})


@pytest.mark.parametrize("scheme", [Scheme.INT8, Scheme.INT4])
def test_quantized_weights(scheme: Scheme, folder: Path, tmp_path: Path) -> None:
    """Pass whole, also where projections are stored one by one, and are refused without a scale."""

    def split(tensors: Tensors) -> None:
        whole = tensors.pop("model.layers.0.mlp.gate_up_proj.weight")
        tensors["model.layers.0.mlp.gate_proj.weight"] = whole[:32].clone()
        tensors["model.layers.0.mlp.up_proj.weight"] = whole[32:].clone()

    rewrite(folder, split)
    (folder / INDEX).unlink()
    quantized = tmp_path / "quantized"
    quantize_checkpoint(open_checkpoint(str(folder)), quantized, Quantization(scheme), lambda done: None)
    check_weights(open_checkpoint(str(quantized)), {})
    scale = f"{O_PROJ}_scale"
    rewrite(quantized, lambda tensors: tensors.pop(scale))
    assert f"lack the tensor {scale}" in refusal(quantized)


def test_an_index_that_leads_nowhere(folder: Path) -> None:
    """To a file that is not there; or it is none itself."""
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"][O_PROJ] = "model-00002.safetensors"
    (folder / INDEX).write_text(json.dumps(index))
    assert "names the file model-00002.safetensors, which is not there" in refusal(folder)
    (folder / INDEX).write_text('{"weight_map": 5}')
    assert f"{INDEX} is damaged" in refusal(folder)


def test_no_weights_at_all(folder: Path) -> None:
    """Nothing that vLLM could load."""
    (folder / SHARD).unlink()
    (folder / INDEX).unlink()
    assert f"{folder} holds no weights" in refusal(folder)


@pytest.mark.parametrize(
    ("arguments", "config"),
    [({"load_format": "dummy"}, {}), ({"quantization": "fp8"}, {}), ({}, {"quantization_config": {}})],
)
def test_what_only_vllm_can_judge(
    folder: Path, arguments: dict[str, object], config: dict[str, object]
) -> None:
    """Weights that are not read, or have other names than the model's own."""
    rewrite(folder, lambda tensors: tensors.pop(O_PROJ))
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    check_weights(open_checkpoint(str(folder)), arguments)


def test_a_hub_repository_is_left_to_vllm(reference: Path) -> None:
    """Its weights are not here yet."""
    checkpoint = open_checkpoint(str(reference))
    object.__setattr__(checkpoint, "model", "owner/name")
    check_weights(checkpoint, {})
