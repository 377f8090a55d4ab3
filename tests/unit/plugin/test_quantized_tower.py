"""Quantized checkpoints as vLLM loads them: its own loader, its own layers, its kernels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed import parallel_state
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.model_executor.layers.quantization.compressed_tensors.schemes import CompressedTensorsWNA16
from vllm.model_executor.model_loader import get_model
from vllm.plugins import load_general_plugins

from phiserve.checkpoint.blank import BlankShape, write_blank
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.checkpoint.quantization import Quantization, Scheme
from phiserve.checkpoint.quantizing import quantize_checkpoint
from phiserve.engine.environment import prepare_environment
from phiserve.engine.host import detect_host
from phiserve.engine.kernels import max_int8
from phiserve.engine.plan import EngineOptions, plan_engine
from phiserve.plugin.model import Phi3VForCausalLM
from phiserve.plugin.quantized_tower import RowsInt8

DECODER, TOWER = "model.layers.1.", "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0."
WIDTHS = {f"{DECODER}self_attn.qkv_proj": 64, f"{DECODER}mlp.gate_up_proj": 64, f"{DECODER}mlp.down_proj": 96}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blank checkpoint with widths that int4 takes."""
    folder = tmp_path_factory.mktemp("tower") / "source"
    write_blank(folder, BlankShape(64, 2, 2, 96))
    return folder


@pytest.fixture(scope="module", autouse=True)
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """vLLM's groups of processes: this one alone."""
    prepare_environment()
    load_general_plugins()
    store = tmp_path_factory.mktemp("groups") / "store"
    with set_current_vllm_config(VllmConfig()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            torch.accelerator, "empty_cache", lambda: None, raising=False
        )  # as vLLM's CPU worker does
        parallel_state.init_distributed_environment(1, 0, f"file://{store}", 0, "gloo")
        parallel_state.initialize_model_parallel(1, 1)
        yield
        parallel_state.destroy_model_parallel()
        parallel_state.destroy_distributed_environment()


def loaded(source: Path, folder: Path, quantization: Quantization) -> Phi3VForCausalLM:
    """The model as an engine loads it from the quantized checkpoint, planned as its source is."""
    quantize_checkpoint(open_checkpoint(str(source)), folder, quantization, lambda done: None)
    options = EngineOptions(
        "m", 1, 30, 1, 2**30, 60, 0, {"kv_cache_memory_bytes": 2**28, "max_model_len": 2048}
    )
    plan = plan_engine(open_checkpoint(str(source)), detect_host(), options)
    dtype = {"dtype": "bfloat16"} if quantization.scheme is Scheme.INT4 else {}
    config = AsyncEngineArgs(**{**plan.args, **dtype, "model": str(folder)}).create_engine_config()
    with set_current_vllm_config(config):
        model = get_model(vllm_config=config)
    assert isinstance(model, Phi3VForCausalLM)
    return model


def layer_of(model: Phi3VForCausalLM, name: str) -> Any:  # a Module, whose attributes have no types
    """A layer by its name in the checkpoint."""
    vision, language = model.vision_embed_tokens, model.language_model.model
    if name.startswith(TOWER):
        tower: nn.Module = vision.img_processor.vision_model.encoder.layers[0]
        return tower.get_submodule(name.removeprefix(TOWER))
    found: nn.Module = language.layers[1].get_submodule(name.removeprefix(DECODER))
    return found


def error(
    layer: nn.Module, given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> float:
    """How far a layer's product is from the exact one, relative to that."""
    exact = nn.functional.linear(given, weight.float(), None if bias is None else bias.float())
    found = layer(given.to(torch.get_default_dtype()))[0].float()
    assert found.shape == exact.shape
    return float((found - exact).norm() / exact.norm())


@torch.inference_mode()
def test_int8(source: Path, tmp_path: Path) -> None:
    """The decoder's products are near those of the whole weights; CLIP and the head are whole."""
    model = loaded(source, tmp_path / "x", Quantization(Scheme.INT8, max_int8=max_int8(detect_host())))
    whole = load_file(source / "model-00001.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, width in WIDTHS.items():
        given = torch.randn(5, width, generator=generator)
        assert error(layer_of(model, name), given, whole[f"{name}.weight"]) < 0.03, name
    assert getattr(layer_of(model, f"{TOWER}mlp.fc1"), "scheme", None) is None
    assert torch.equal(model.language_model.lm_head.weight.to(torch.bfloat16), whole["lm_head.weight"])


@torch.inference_mode()
def test_int8_with_vision(source: Path, tmp_path: Path) -> None:
    """CLIP's products too, whose activations are rows of several images; its biases stay."""
    quantization = Quantization(Scheme.INT8, with_vision=True, max_int8=max_int8(detect_host()))
    model = loaded(source, tmp_path / "x", quantization)
    whole = load_file(source / "model-00001.safetensors")
    given = torch.randn(2, 7, 1024, generator=torch.Generator().manual_seed(0))
    parts = [f"{TOWER}self_attn.{name}_proj" for name in "qkv"]
    weight = torch.cat([whole[f"{part}.weight"] for part in parts])
    bias = torch.cat([whole[f"{part}.bias"] for part in parts])
    projections = layer_of(model, f"{TOWER}self_attn.qkv_proj")
    assert isinstance(projections.scheme, RowsInt8)
    assert error(projections, given, weight, bias) < 0.03
    wide = f"{TOWER}mlp.fc1"
    assert error(layer_of(model, wide), given, whole[f"{wide}.weight"], whole[f"{wide}.bias"]) < 0.03


def unpacked(layer: Any) -> torch.Tensor:
    """A weight from what vLLM's CPU kernel for int4 reads: blocks of sixteen rows, eight values together."""
    blocks, columns = len(layer.weight_packed), layer.weight_packed.shape[1] // 2
    packed = layer.weight_packed.view(blocks, columns, 2, 1)
    values = (packed >> torch.arange(0, 32, 4)) % 16 - 8
    rows: torch.Tensor = values.view(blocks, columns, 16).transpose(1, 2).reshape(blocks * 16, columns)
    scales: torch.Tensor = layer.weight_scale.t().repeat_interleave(columns // len(layer.weight_scale), 1)
    return rows * scales.float()


@torch.inference_mode()
@pytest.mark.parametrize("with_vision", [False, True])
def test_int4(with_vision: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's kernel gets weights within half a step of the whole ones, whether or not this CPU can run it."""
    monkeypatch.setenv("VLLM_CPU_INT4_W4A8", "0")  # with AMX they would be laid out in another way
    model = loaded(source, tmp_path / "x", Quantization(Scheme.INT4, with_vision))
    whole = load_file(source / "model-00001.safetensors")
    names = [*WIDTHS, f"{TOWER}mlp.fc2"] if with_vision else WIDTHS
    for name in names:
        layer = layer_of(model, name)
        assert isinstance(layer.scheme, CompressedTensorsWNA16)
        assert (unpacked(layer) - whole[f"{name}.weight"].float()).abs().max() <= layer.weight_scale.max() / 2
    assert (getattr(layer_of(model, f"{TOWER}mlp.fc1"), "scheme", None) is not None) is with_vision
