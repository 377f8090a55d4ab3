"""The trained demo model: a few megabytes of weights in the package.

They are expanded to a checkpoint in Phi-3-vision's own format.
"""

import lzma
from pathlib import Path

import torch
from pydantic import JsonValue
from safetensors import SafetensorError
from safetensors.torch import load, save, save_file
from torch import Tensor

from phiserve.chat.special_tokens import VOCAB_SIZE
from phiserve.checkpoint.demo_tower import CODES, COLOUR, LAYERS, LUMA, OUT2, SEPARATOR, SIDE, clip_tensors
from phiserve.checkpoint.demo_weights import WEIGHTS_FILE, packed_weights
from phiserve.checkpoint.folders import dump_json, phi3v_config, preprocessor_config
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import CLIP_WIDTH
from phiserve.checkpoint.tokenizer_files import write_tokenizer
from phiserve.errors import StartupError

MAX_CROPS = 1
CONTEXT = 4096
HEADS = 4
_TOWER, _PROJECTION, _DECODER = "tower.", "projection.", "decoder."


def compact_weights() -> dict[str, Tensor]:
    """The learned tensors in bfloat16, by their names in training.

    Raises StartupError if they are missing or damaged.
    """
    packed = packed_weights()
    try:
        return load(lzma.decompress(packed))  # xz's own SHA-256 guards them
    except (lzma.LZMAError, SafetensorError) as error:
        raise StartupError(
            f"The weights of the demo model are damaged ({WEIGHTS_FILE}): install phiserve anew"
        ) from error


def pack(tensors: dict[str, Tensor]) -> bytes:
    """Compress tensors with xz, with settings that model the two bytes of a bfloat16 apart."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 3, "lp": 1, "pb": 1}]
    return lzma.compress(save(tensors), check=lzma.CHECK_SHA256, filters=filters)


def write_demo(folder: Path) -> None:
    """Write the demo model's checkpoint into an existing, empty folder.

    Raises StartupError if the weights in the package are missing or damaged.
    """
    write_expanded(compact_weights(), folder)


def write_expanded(compact: dict[str, Tensor], folder: Path) -> None:
    """Write a checkpoint made of the learned tensors `compact` into an existing, empty folder."""
    hidden = compact["decoder.table"].shape[1]
    dump_json(folder / "config.json", _config(compact, hidden))
    dump_json(folder / "preprocessor_config.json", preprocessor_config(MAX_CROPS))
    write_tokenizer(folder)
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in _tensors(compact).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _config(compact: dict[str, Tensor], hidden: int) -> dict[str, JsonValue]:
    return phi3v_config(
        LAYERS,
        **{CheckpointKind.DEMO.value: True},
        hidden_size=hidden,
        num_hidden_layers=sum(name.endswith(".down.weight") for name in compact),
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        intermediate_size=compact["decoder.layers.0.down.weight"].shape[1],
        max_position_embeddings=CONTEXT,
        original_max_position_embeddings=CONTEXT,
        rope_scaling=None,
        tie_word_embeddings=True,
    )


def _tensors(compact: dict[str, Tensor]) -> dict[str, Tensor]:
    """All tensors of a Phi-3-vision checkpoint."""
    vision, clip = "model.vision_embed_tokens.", "img_processor.vision_model."
    projection = _projection(_below(_PROJECTION, compact))
    tensors = _decoder(_below(_DECODER, compact), compact["trained_ids"])
    tensors |= {f"{vision}{name}": tensor for name, tensor in projection.items()}
    tower = clip_tensors(_below(_TOWER, compact))
    return tensors | {f"{vision}{clip}{name}": tensor for name, tensor in tower.items()}


def _below(prefix: str, compact: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part of the model in float32, by their names within it."""
    return {
        name.removeprefix(prefix): tensor.float()
        for name, tensor in compact.items()
        if name.startswith(prefix)
    }


def _decoder(decoder: dict[str, Tensor], trained_ids: Tensor) -> dict[str, Tensor]:
    """The decoder's tensors. Tokens that were not trained embed as zeros."""
    table = torch.zeros(VOCAB_SIZE, decoder["table"].shape[1])
    table[trained_ids.long()] = decoder["table"]
    tensors = {"model.embed_tokens.weight": table, "model.norm.weight": decoder["last_norm"]}
    names = {
        "qkv.weight": "self_attn.qkv_proj.weight",
        "out.weight": "self_attn.o_proj.weight",
        "gate_up.weight": "mlp.gate_up_proj.weight",
        "down.weight": "mlp.down_proj.weight",
        "attention_norm": "input_layernorm.weight",
        "mlp_norm": "post_attention_layernorm.weight",
    }
    for name, tensor in decoder.items():
        if name.startswith("layers."):
            layer, own = name.removeprefix("layers.").split(".", 1)
            tensors[f"model.layers.{layer}.{names[own]}"] = tensor
    return tensors


def _projection(compact: dict[str, Tensor]) -> dict[str, Tensor]:
    """The projection of four merged patches, and the separators.

    It reads the colours and the last output of each of the four, and the position of the first.
    """
    hidden = len(compact["inner.bias"])
    weight = torch.zeros(hidden, 4, CLIP_WIDTH)
    features = [*range(LUMA, LUMA + COLOUR), *range(OUT2.start, OUT2.stop)]
    learned, codes = torch.split(compact["inner.weight"], [4 * len(features), 2 * SIDE], 1)
    weight[:, :, features] = learned.view(hidden, 4, len(features))
    weight[:, 0, CODES.start : CODES.start + 2 * SIDE] = codes
    weight[:, 0, SEPARATOR], weight[:, 1, SEPARATOR] = compact["row_end"], compact["view_end"]
    row_end, view_end = torch.zeros(4 * CLIP_WIDTH), torch.zeros(4 * CLIP_WIDTH)
    row_end[SEPARATOR] = view_end[CLIP_WIDTH + SEPARATOR] = 1
    return {
        "img_projection.0.weight": weight.flatten(1),
        "img_projection.0.bias": compact["inner.bias"],
        "img_projection.2.weight": compact["outer.weight"],
        "img_projection.2.bias": compact["outer.bias"],
        "sub_GN": row_end.view(1, 1, 1, -1),
        "glb_GN": view_end.view(1, 1, -1),
    }
