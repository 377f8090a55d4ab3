"""A checkpoint's linear layers are quantized and all else stays; it appears whole or not at all."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from safetensors.torch import load_file, save_file
from torch import Tensor

from phiserve.checkpoint import quantizing
from phiserve.checkpoint.blank import BlankShape, write_blank
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.checkpoint.quantization import MAX_INT4, Quantization, Scheme
from phiserve.checkpoint.quantizing import quantize_checkpoint, quantized
from phiserve.checkpoint.weights import check_weights
from phiserve.errors import StartupError

SHARD = "model-00001.safetensors"
INT8, INT4 = Quantization(Scheme.INT8), Quantization(Scheme.INT4)
ALL = [
    INT8,
    INT4,
    Quantization(Scheme.INT8, max_int8=64),
    Quantization(Scheme.INT8, with_vision=True),
    Quantization(Scheme.INT4, with_vision=True),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blank checkpoint whose widths int4 takes in groups of 64 and less."""
    folder = tmp_path_factory.mktemp("quantizing") / "source"
    write_blank(folder, BlankShape(64, 2, 2, 192))
    return folder


@pytest.fixture
def changed(source: Path, tmp_path: Path) -> Path:
    """A copy that tests change."""
    return Path(shutil.copytree(source, tmp_path / "changed"))


def quantize(source: Path, folder: Path, quantization: Quantization = INT8) -> dict[str, Tensor]:
    """The tensors of the quantized checkpoint, all of which are as its config.json says."""
    done: list[float] = []
    quantize_checkpoint(open_checkpoint(str(source)), folder, quantization, done.append)
    assert done == sorted(done)
    assert done[-1] == 1
    check_weights(open_checkpoint(str(folder)), {})
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def dequantized(name: str, tensors: dict[str, Tensor], largest: int) -> tuple[Tensor, Tensor]:
    """A weight's values, and the step between two of them; the format's own library unpacks them."""
    scale = tensors[f"{name}_scale"].float()
    if (values := tensors.get(name)) is None:
        shape = torch.Size(tensors[f"{name}_shape"].tolist())
        values = unpack_from_int32(tensors[f"{name}_packed"], 4, shape)
    assert values.abs().max() <= largest
    steps = scale.repeat_interleave(values.shape[1] // scale.shape[1], dim=1)
    return values.float() * steps, steps


@pytest.mark.parametrize("quantization", ALL, ids=str)
def test_within_half_a_step(quantization: Quantization, source: Path, tmp_path: Path) -> None:
    """Of each weight; what is not covered has the same bits."""
    whole, tensors = load_file(source / SHARD), quantize(source, tmp_path / "x", quantization)
    largest = quantization.max_int8 if quantization.scheme is Scheme.INT8 else MAX_INT4
    covered = [name for name in whole if quantization.covers(name)]
    assert len(covered) == (2 * 4 + 6 if quantization.with_vision else 2 * 4)
    for name, weight in whole.items():
        if name not in covered:
            assert torch.equal(tensors.pop(name), weight)
            continue
        found, steps = dequantized(name, tensors, largest)
        assert (found - weight.float()).abs().max() <= steps.max() / 2
        assert ((found - weight.float()).abs() <= steps * 0.5001).all()
    expected = {part for name in covered for part in quantization.stored(name, 1, 64)}
    assert tensors.keys() == expected


def test_a_folder_like_its_source(changed: Path, tmp_path: Path) -> None:
    """With all its files but those that only its own weights have; config.json says one thing more."""
    (changed / "decision_temperatures.json").write_text('{"a": 1}')
    (changed / "hashes.json").write_text("{}")
    (changed / "pytorch_model.bin").write_bytes(b"old weights")
    (changed / ".gitattributes").write_text("x")
    (changed / "folder").mkdir()
    quantize(changed, tmp_path / "x")
    names = {path.name for path in (tmp_path / "x").iterdir()}
    left_out = {"hashes.json", "pytorch_model.bin", ".gitattributes", "folder"}
    assert names == {path.name for path in changed.iterdir()} - left_out
    written, config = (
        json.loads((folder / "config.json").read_text()) for folder in (tmp_path / "x", changed)
    )
    assert written == config | {"quantization_config": INT8.config()}
    for name in names - {"config.json", SHARD, "model.safetensors.index.json"}:
        assert (tmp_path / "x" / name).read_bytes() == (changed / name).read_bytes()
    assert open_checkpoint(str(tmp_path / "x")).quantization == INT8


@pytest.mark.parametrize("quantization", [INT8, INT4], ids=str)
def test_the_same_bytes(quantization: Quantization, source: Path, tmp_path: Path) -> None:
    """In another run, and in shards."""
    quantize(source, tmp_path / "x", quantization)
    quantize(source, tmp_path / "y", quantization)
    for path in (tmp_path / "x").iterdir():
        assert (tmp_path / "y" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("width", "group_size"), [(256, 128), (192, 64), (96, 32)])
def test_group_sizes(width: int, group_size: int, tmp_path: Path) -> None:
    """The largest that divides all widths."""
    write_blank(tmp_path / "source", BlankShape(128, 1, 2, width))
    tensors = quantize(tmp_path / "source", tmp_path / "x", INT4)
    assert tensors["model.layers.0.mlp.down_proj.weight_scale"].shape == (128, width // group_size)
    opened = open_checkpoint(str(tmp_path / "x"))
    assert opened.quantization == Quantization(Scheme.INT4, group_size=group_size)


def test_extreme_weights() -> None:
    """Rows of zeros, of one value, of values too small for a scale; float16 weights have float16 scales."""
    weight = torch.zeros(4, 64)
    weight[1] = -3.0
    weight[2, 5] = 1e-45
    weight[3] = torch.linspace(-1, 1, 64)
    for quantization in (INT8, Quantization(Scheme.INT4, group_size=32)):
        found, steps = dequantized("w", quantized("w", weight, quantization), 127)
        assert ((found - weight).abs() <= steps / 2 + 1e-44).all()
    assert (
        quantized("w", weight.half(), Quantization(Scheme.INT4, group_size=32))["w_scale"].dtype
        == torch.float16
    )


def change_weight(folder: Path, name: str, weight: Tensor) -> None:
    save_file(load_file(folder / SHARD) | {name: weight}, folder / SHARD)


def test_refusals(changed: Path, tmp_path: Path) -> None:
    """Each in a sentence, and nothing is written."""

    def refusal(quantization: Quantization = INT8, folder: Path = tmp_path / "x") -> str:
        with pytest.raises(StartupError) as caught:
            quantize(changed, folder, quantization)
        assert {path.name for path in tmp_path.iterdir()} <= {"changed", "taken"}
        return str(caught.value)

    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    assert "taken exists and is not an empty folder" in refusal(folder=tmp_path / "taken")
    name = "model.layers.0.mlp.down_proj.weight"
    good = load_file(changed / SHARD)[name]
    change_weight(changed, name, torch.full_like(good, torch.nan))
    assert f"{name} holds values that are no finite numbers" in refusal()
    change_weight(changed, name, good[:, :10].contiguous())
    assert "has the shape (64, 10)" in refusal()
    change_weight(changed, name, good)
    config = json.loads((changed / "config.json").read_text())
    (changed / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "awq"}})
    )
    assert "is quantized already" in refusal()
    (changed / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    assert "is not a Phi-3-vision checkpoint" in refusal()
    (changed / "config.json").write_text(json.dumps(config))
    for path in changed.glob("model*"):
        path.unlink()
    (changed / "pytorch_model.bin").touch()
    assert "holds no safetensors files" in refusal()


def test_widths_that_int4_cannot_have(tmp_path: Path) -> None:
    """vLLM's kernel takes multiples of 32."""
    write_blank(tmp_path / "source", BlankShape(64, 1, 2, 72))
    with pytest.raises(StartupError, match=r"down_proj.weight has the shape \(64, 72\), and int4 takes"):
        quantize(tmp_path / "source", tmp_path / "x", INT4)


def test_a_failure_midway_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """Whatever it is."""

    def fail(done: float) -> None:
        if done > 0.5:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        quantize_checkpoint(open_checkpoint(str(source)), tmp_path / "x", INT8, fail)
    assert not list(tmp_path.iterdir())


def test_one_shard_at_a_time_is_in_memory(tmp_path: Path) -> None:
    """Of 200 MB, with shards of 8: the largest tensor twice, of 33, and what its operations need."""
    write_blank(tmp_path / "source", BlankShape(512, 12, 4, 2048))
    code = f"""
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
import torch
from phiserve.checkpoint import quantizing
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
torch.set_num_threads(1)
int8, written = Quantization(Scheme.INT8), Path({str(tmp_path / "x")!r})
quantizing.MAX_SHARD_BYTES = 2**23
source, before = open_checkpoint({str(tmp_path / "source")!r}), getrusage(RUSAGE_SELF).ru_maxrss
quantizing.quantize_checkpoint(source, written, int8, lambda done: None)
print((getrusage(RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    assert int(done.stdout) < 120
    assert sum(path.stat().st_size for path in (tmp_path / "source").glob("*.safetensors")) > 190e6
    assert len(list((tmp_path / "x").glob("*.safetensors"))) > 10


def test_shards_of_the_real_model() -> None:
    """The largest tensors and a shard, both twice, stay below 3 GB beside torch."""
    float_copies = 2 * 2 * 8192 * 3072 * 4
    assert 2 * quantizing.MAX_SHARD_BYTES + float_copies < 2e9
