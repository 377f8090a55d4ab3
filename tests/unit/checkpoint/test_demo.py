"""The demo model's learned tensors become a checkpoint in Phi-3-vision's own format."""

import json
import lzma
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from phiserve.checkpoint import demo_weights
from phiserve.checkpoint.blank import BlankShape, tensor_specs
from phiserve.checkpoint.demo import compact_weights, pack, write_demo, write_expanded
from phiserve.checkpoint.demo_tower import SEPARATOR
from phiserve.checkpoint.demo_weights import WEIGHTS_FILE
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import CLIP_WIDTH, open_checkpoint
from phiserve.errors import StartupError

NO_TENSORS = lzma.compress(b"something else")
VISION = "model.vision_embed_tokens."


@pytest.fixture(scope="module")
def packed(compact: dict[str, Tensor]) -> bytes:
    """The file that the package holds, without the tower, which takes long to pack."""
    return pack({name: tensor for name, tensor in compact.items() if not name.startswith("tower.")})


@pytest.fixture
def package(packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's folder with the tensors in it."""
    monkeypatch.setattr(demo_weights, "files", lambda package: tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(packed)
    return tmp_path


@pytest.fixture(scope="module")
def folder(compact: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The expanded checkpoint."""
    path = tmp_path_factory.mktemp("demo")
    write_expanded(compact, path)
    return path


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.usefixtures("package")
def test_packed_and_unpacked(compact: dict[str, Tensor], packed: bytes) -> None:
    """What is packed comes back bit for bit, and packing it again gives the same bytes."""
    found = compact_weights()
    assert found.keys() == {name for name in compact if not name.startswith("tower.")}
    assert all(
        torch.equal(tensor, compact[name]) and tensor.dtype == compact[name].dtype
        for name, tensor in found.items()
    )
    assert pack(found) == packed


@pytest.mark.parametrize("damage", ["bit", "end", "empty", "other", "no tensors"])
def test_a_damaged_package(package: Path, packed: bytes, tmp_path: Path, damage: str) -> None:
    """A flipped bit, a missing end, nothing at all or something else: one sentence, and nothing is
    written.
    """
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 1
    broken = {
        "bit": bytes(flipped),
        "end": packed[:-100],
        "empty": b"",
        "other": b"<html>",
        "no tensors": NO_TENSORS,
    }[damage]
    (package / WEIGHTS_FILE).write_bytes(broken)
    (tmp_path / "out").mkdir()
    with pytest.raises(StartupError, match=r"are damaged .* install phiserve anew"):
        write_demo(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_package_without_weights(package: Path) -> None:
    """It is told like damage."""
    (package / WEIGHTS_FILE).unlink()
    with pytest.raises(StartupError, match=r"not in the package"):
        compact_weights()


def test_it_opens(folder: Path) -> None:
    """It passes the checks of a real checkpoint, says that it is the demo, and sees images as one crop."""
    checkpoint = open_checkpoint(str(folder))
    assert (checkpoint.kind, checkpoint.max_crops, checkpoint.hidden_size) == (CheckpointKind.DEMO, 1, 32)
    assert (checkpoint.short_context, checkpoint.longest_context) == (4096, 4096)
    assert checkpoint.kv_bytes_per_token("auto") == 2 * 2 * 32 * 2


def test_its_configuration(folder: Path) -> None:
    """Plain rotary positions, one table for both ends, three of CLIP's layers."""
    config = json.loads((folder / "config.json").read_text())
    assert (config["rope_scaling"], config["tie_word_embeddings"], config["intermediate_size"]) == (
        None,
        True,
        48,
    )
    assert config["img_processor"]["layer_idx"] == -22
    assert config["num_hidden_layers"] == 2


def test_names_and_shapes_are_phi3v_s(tensors: dict[str, Tensor]) -> None:
    """Those of a blank checkpoint of this size, but for the output layer, which is the embedding's; all in
    bfloat16.
    """
    shape = BlankShape(hidden_size=32, num_layers=2, num_heads=4, intermediate_size=48, clip_layers=3)
    expected = {name: size for name, size, _, _ in tensor_specs(shape) if name != "lm_head.weight"}
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == expected
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}


def test_the_decoder_s_tensors(tensors: dict[str, Tensor], compact: dict[str, Tensor]) -> None:
    """Each gets its own name, layer by layer; tokens that were not trained embed as zeros."""
    names = {
        "self_attn.qkv_proj": "qkv",
        "self_attn.o_proj": "out",
        "mlp.gate_up_proj": "gate_up",
        "mlp.down_proj": "down",
    }
    for layer in range(2):
        for name, own in names.items():
            assert torch.equal(
                tensors[f"model.layers.{layer}.{name}.weight"],
                compact[f"decoder.layers.{layer}.{own}.weight"],
            )
        for name, own in (("input_layernorm", "attention_norm"), ("post_attention_layernorm", "mlp_norm")):
            assert torch.equal(
                tensors[f"model.layers.{layer}.{name}.weight"], compact[f"decoder.layers.{layer}.{own}"]
            )
    assert torch.equal(tensors["model.norm.weight"], compact["decoder.last_norm"])
    table = tensors["model.embed_tokens.weight"]
    assert table.any(1).nonzero().flatten().tolist() == compact["trained_ids"].tolist()
    assert torch.equal(table[compact["trained_ids"].long()], compact["decoder.table"])


def test_separators(tensors: dict[str, Tensor], compact: dict[str, Tensor]) -> None:
    """The ends of rows and views are what training learned, on a channel that images leave alone."""
    inner, bias = (tensors[f"{VISION}img_projection.0.{name}"].float() for name in ("weight", "bias"))
    for separator, learned in (("sub_GN", "row_end"), ("glb_GN", "view_end")):
        ends = tensors[f"{VISION}{separator}"].float().flatten()
        assert torch.equal(
            inner @ ends + bias,
            (compact[f"projection.{learned}"].float() + compact["projection.inner.bias"].float()),
        )
        assert (ends.nonzero() % CLIP_WIDTH).flatten().tolist() == [SEPARATOR]
