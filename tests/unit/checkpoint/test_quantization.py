"""config.json says how weights are quantized as compressed-tensors does, and is read as it was written."""

import json

import pytest
from compressed_tensors.quantization import QuantizationConfig, QuantizationStrategy
from pydantic import JsonValue
from vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors import (
    CompressedTensorsConfig,
)
from vllm.model_executor.layers.quantization.compressed_tensors.utils import should_ignore_layer

from phiserve.checkpoint.quantization import QUANTIZATION_KEY, Quantization, Scheme

ALL = [
    Quantization(Scheme.INT8),
    Quantization(Scheme.INT8, with_vision=True),
    Quantization(Scheme.INT8, max_int8=64),
    Quantization(Scheme.INT4, group_size=32),
    Quantization(Scheme.INT4, with_vision=True),
]
DECODER = "model.layers.31.self_attn.qkv_proj"
TOWER = "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.0."


@pytest.mark.parametrize("quantization", ALL, ids=str)
def test_read_as_it_was_written(quantization: Quantization) -> None:
    """From a file; without the key there is none, and whatever somebody else wrote is not ours to judge."""
    stated = json.loads(json.dumps(quantization.config()))
    assert Quantization.of({QUANTIZATION_KEY: stated}) == quantization
    assert Quantization.of({}) is None
    assert Quantization.of({QUANTIZATION_KEY: {**stated, "kv_cache_scheme": {}}}) is None
    others: list[JsonValue] = [
        {},
        [],
        {"quant_method": "awq"},
        {"config_groups": {"group_0": []}},
        {"config_groups": 5},
    ]
    for other in others:
        assert Quantization.of({QUANTIZATION_KEY: other}) is None


@pytest.mark.parametrize("quantization", ALL, ids=str)
def test_the_formats_own_library_takes_it(quantization: Quantization) -> None:
    """Whose types vLLM reads it with."""
    config = QuantizationConfig.model_validate(quantization.config())
    (group,) = config.config_groups.values()
    assert group.weights.num_bits == (8 if quantization.scheme is Scheme.INT8 else 4)
    assert group.weights.symmetric
    if quantization.scheme is Scheme.INT8:
        assert group.weights.strategy == QuantizationStrategy.CHANNEL
        assert group.input_activations.strategy == QuantizationStrategy.TOKEN
        assert group.input_activations.dynamic
    else:
        assert group.weights.group_size == quantization.group_size
        assert group.input_activations is None


@pytest.mark.parametrize("with_vision", [False, True])
def test_vllm_leaves_alone_what_is_not_quantized(with_vision: bool) -> None:
    """By the names that its layers have; and covered weights are exactly those that it quantizes."""
    quantization = Quantization(Scheme.INT8, with_vision)
    config = CompressedTensorsConfig.from_config(quantization.config())
    layers = {
        DECODER: True,
        "model.layers.0.mlp.down_proj": True,
        "lm_head": False,
        f"{TOWER}self_attn.out_proj": with_vision,
        f"{TOWER}mlp.fc1": with_vision,
        "model.vision_embed_tokens.img_projection.0": False,
    }
    for name, is_quantized in layers.items():
        assert should_ignore_layer(name, config.ignore) is not is_quantized, name
        assert quantization.covers(f"{name}.weight") is is_quantized, name


@pytest.mark.parametrize(
    "name",
    [
        f"{DECODER}.bias",
        "model.layers.0.input_layernorm.weight",
        "model.embed_tokens.weight",
        f"{TOWER}layer_norm1.weight",
        f"{TOWER}mlp.fc1.bias",
        "model.vision_embed_tokens.img_processor.vision_model.embeddings.patch_embedding.weight",
    ],
)
def test_what_is_never_quantized(name: str) -> None:
    """Biases, norms, embeddings."""
    assert not Quantization(Scheme.INT4, with_vision=True).covers(name)


def test_bytes() -> None:
    """Of a weight, with its share of a scale of two bytes."""
    assert Quantization(Scheme.INT8).bytes_per_weight == Quantization(Scheme.FP8).bytes_per_weight == 1
    assert Quantization(Scheme.INT4, group_size=128).bytes_per_weight * 128 == 64 + 2
