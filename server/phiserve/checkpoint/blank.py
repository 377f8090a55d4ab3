"""Blank checkpoints: Phi-3-vision of any size, with seeded random weights.

They can be served, but their answers mean nothing.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import JsonValue

from phiserve.chat.special_tokens import VOCAB_SIZE
from phiserve.checkpoint.folders import (
    check_free,
    dump_json,
    phi3v_config,
    preprocessor_config,
    rope_scaling,
    write_whole,
)
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import CLIP_LAYERS, CLIP_WIDTH, DEFAULT_MAX_CROPS
from phiserve.checkpoint.shards import write_shards
from phiserve.checkpoint.tokenizer_files import write_tokenizer
from phiserve.errors import StartupError

if TYPE_CHECKING:  # it takes seconds to import: `checkpoint.weights` needs no more than the tensors' names
    import torch

CLIP_FFN = 4096

MAX_SHARD_BYTES = 2 * 2**30
_IMAGE_DIM = 4 * CLIP_WIDTH


@dataclass(frozen=True, slots=True)
class BlankShape:
    """Size of a blank checkpoint. `clip_layers`: how many layers of CLIP are used, at most 23."""

    hidden_size: int = 192
    num_layers: int = 2
    num_heads: int = 2
    intermediate_size: int = 512
    clip_layers: int = 1
    seed: int = 0

    @property
    def head_size(self) -> int:
        """Width of an attention head."""
        return self.hidden_size // self.num_heads


FULL = BlankShape(hidden_size=3072, num_layers=32, num_heads=32, intermediate_size=8192, clip_layers=23)
"""The real model's size: 4.1 B parameters, 8.3 GB in bfloat16."""

TensorSpec = tuple[str, tuple[int, ...], float, float]
"""A tensor's name, shape, mean and standard deviation."""


def write_blank(folder: Path, shape: BlankShape) -> None:
    """Write a checkpoint into `folder`, which must not exist or be empty. Raises StartupError.

    Every tensor has a random stream of its own, so the same shape and seed give the same bytes. At most one
    shard is in memory at a time. The folder appears whole or not at all.
    """
    _check(shape, folder)
    write_whole(folder, lambda partial: fill_blank(partial, shape))


def fill_blank(folder: Path, shape: BlankShape) -> None:
    """Write a checkpoint into an existing, empty folder."""
    dump_json(folder / "config.json", _config(shape))
    dump_json(folder / "preprocessor_config.json", preprocessor_config(DEFAULT_MAX_CROPS))
    write_tokenizer(folder)
    weights = ((spec[0], _tensor(spec, shape.seed)) for spec in tensor_specs(shape))
    write_shards(folder, weights, MAX_SHARD_BYTES)


def _check(shape: BlankShape, folder: Path) -> None:
    check_free(folder)
    if shape.hidden_size % shape.num_heads or shape.head_size % 2:
        raise StartupError(
            f"hidden size {shape.hidden_size} does not divide into {shape.num_heads} heads of even size"
        )
    if not 1 <= shape.clip_layers < CLIP_LAYERS:
        raise StartupError(f"clip layers must be 1 to {CLIP_LAYERS - 1}, got {shape.clip_layers}")


def _config(shape: BlankShape) -> dict[str, JsonValue]:
    return phi3v_config(
        shape.clip_layers,
        **{CheckpointKind.BLANK.value: True},
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        intermediate_size=shape.intermediate_size,
        rope_scaling=rope_scaling(shape.head_size // 2),
    )


def _tensor(spec: TensorSpec, seed: int) -> "torch.Tensor":
    import torch

    name, shape, mean, std = spec
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode())]))
    values = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    return values.mul_(std).add_(mean).to(torch.bfloat16)


def tensor_specs(shape: BlankShape) -> Iterator[TensorSpec]:
    """All tensors of a checkpoint, by the names of the real model's."""
    hidden, ffn = shape.hidden_size, shape.intermediate_size
    yield "model.embed_tokens.weight", (VOCAB_SIZE, hidden), 0.0, 0.5
    for layer in range(shape.num_layers):
        prefix = f"model.layers.{layer}."
        yield _matrix(f"{prefix}self_attn.qkv_proj", 3 * hidden, hidden)
        yield _matrix(f"{prefix}self_attn.o_proj", hidden, hidden)
        yield _matrix(f"{prefix}mlp.gate_up_proj", 2 * ffn, hidden)
        yield _matrix(f"{prefix}mlp.down_proj", hidden, ffn)
        yield f"{prefix}input_layernorm.weight", (hidden,), 1.0, 0.1
        yield f"{prefix}post_attention_layernorm.weight", (hidden,), 1.0, 0.1
    yield "model.norm.weight", (hidden,), 1.0, 0.1
    yield _matrix("lm_head", VOCAB_SIZE, hidden)
    vision = "model.vision_embed_tokens."
    yield f"{vision}glb_GN", (1, 1, _IMAGE_DIM), 0.0, 0.5
    yield f"{vision}sub_GN", (1, 1, 1, _IMAGE_DIM), 0.0, 0.5
    yield from _linear(f"{vision}img_projection.0", hidden, _IMAGE_DIM)
    yield from _linear(f"{vision}img_projection.2", hidden, hidden)
    yield from _clip_specs(f"{vision}img_processor.vision_model.", shape.clip_layers)


def _clip_specs(prefix: str, layers: int) -> Iterator[TensorSpec]:
    yield f"{prefix}embeddings.class_embedding", (CLIP_WIDTH,), 0.0, 0.1
    yield f"{prefix}embeddings.patch_embedding.weight", (CLIP_WIDTH, 3, 14, 14), 0.0, 588**-0.5
    yield f"{prefix}embeddings.position_embedding.weight", (577, CLIP_WIDTH), 0.0, 0.2
    yield from _norm(f"{prefix}pre_layrnorm")  # so spelled in CLIP's checkpoints
    yield from _norm(f"{prefix}post_layernorm")
    for layer in range(layers):
        block = f"{prefix}encoder.layers.{layer}."
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{block}self_attn.{projection}", CLIP_WIDTH, CLIP_WIDTH)
        yield from _linear(f"{block}mlp.fc1", CLIP_FFN, CLIP_WIDTH)
        yield from _linear(f"{block}mlp.fc2", CLIP_WIDTH, CLIP_FFN)
        yield from _norm(f"{block}layer_norm1")
        yield from _norm(f"{block}layer_norm2")


def _matrix(name: str, out_features: int, in_features: int) -> TensorSpec:
    return f"{name}.weight", (out_features, in_features), 0.0, in_features**-0.5


def _linear(name: str, out_features: int, in_features: int) -> Iterator[TensorSpec]:
    yield _matrix(name, out_features, in_features)
    yield f"{name}.bias", (out_features,), 0.0, 0.1


def _norm(name: str) -> Iterator[TensorSpec]:
    yield f"{name}.weight", (CLIP_WIDTH,), 1.0, 0.1
    yield f"{name}.bias", (CLIP_WIDTH,), 0.0, 0.1
