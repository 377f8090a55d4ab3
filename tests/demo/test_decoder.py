"""The decoder is Llama's, the projection Phi-3-vision's; a branch sees its prefix and itself."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from demo.decoder import (
    BLOCK_FEATURES,
    FFN,
    HEADS,
    HIDDEN,
    IMAGE_TOKENS,
    LAYERS,
    LOCATED_LAYER,
    PATCH_FEATURES,
    ROLE_LAYER,
    Decoder,
    Packs,
    Projection,
    merge_blocks,
)
from demo.tower import FEATURES
from demo.train import region_mask
from phiserve.checkpoint.demo import _projection
from phiserve.checkpoint.demo_tower import CODES, COLOUR, LUMA, OUT2, SIDE, position_codes
from phiserve.checkpoint.opened import CLIP_WIDTH
from phiserve.vision.sizes import num_image_tokens

VOCABULARY = 40
BRANCHES = (1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0)
"""Of each token of the region its branch; the last is none's."""


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(VOCABULARY)


@pytest.fixture(scope="module")
def pack() -> Packs:
    """A prefix of text, a picture's place and text again; three branches."""
    torch.manual_seed(1)
    prefix = 5 + IMAGE_TOKENS + 2
    segments = torch.tensor([BRANCHES])
    positions = torch.tensor([[prefix + BRANCHES[:index].count(own) for index, own in enumerate(BRANCHES)]])
    rows = torch.randint(0, VOCABULARY + 1, (1, prefix)), torch.randint(0, VOCABULARY + 1, (1, len(BRANCHES)))
    return Packs(rows[0], (5,), rows[1], positions, region_mask(segments, prefix))


@pytest.fixture(scope="module")
def images() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(1, 1, IMAGE_TOKENS, HIDDEN)


def llama(decoder: Decoder) -> LlamaModel:
    """transformers' Llama with the decoder's weights."""
    config = LlamaConfig(
        vocab_size=8,
        hidden_size=HIDDEN,
        intermediate_size=FFN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        rms_norm_eps=1e-5,
        pad_token_id=None,
    )
    model: LlamaModel = LlamaModel(config)
    tensors = {"embed_tokens.weight": model.embed_tokens.weight, "norm.weight": decoder.last_norm}
    for number in range(LAYERS):
        own = {
            name: decoder.get_parameter(f"layers.{number}.{name}")
            for name, _ in decoder.layers[number].named_parameters()
        }
        layer = f"layers.{number}."
        for name, weight in zip("qkv", own["qkv.weight"].chunk(3), strict=True):
            tensors[f"{layer}self_attn.{name}_proj.weight"] = weight
        for name, weight in zip(("gate", "up"), own["gate_up.weight"].chunk(2), strict=True):
            tensors[f"{layer}mlp.{name}_proj.weight"] = weight
        tensors[f"{layer}self_attn.o_proj.weight"] = own["out.weight"]
        tensors[f"{layer}mlp.down_proj.weight"] = own["down.weight"]
        tensors[f"{layer}input_layernorm.weight"] = own["attention_norm"]
        tensors[f"{layer}post_attention_layernorm.weight"] = own["mlp_norm"]
    model.load_state_dict({name: tensor.detach() for name, tensor in tensors.items()})
    return model


@torch.no_grad()
def test_it_is_llama(decoder: Decoder, pack: Packs, images: Tensor) -> None:
    """Each branch's hidden states are those of Llama on the prefix and this branch alone, at all depths that
    are used.
    """
    hidden, model = decoder(pack, images), llama(decoder)
    text = decoder.embed(pack.prefix_rows)
    prefix = torch.cat([text[:, :5], images[:, 0], text[:, 5 + IMAGE_TOKENS :]], 1)
    for number in (1, 2, 3):
        own = torch.tensor(BRANCHES) == number
        inputs = torch.cat([prefix, decoder.embed(pack.region_rows[:, own])], 1)
        output = model(inputs_embeds=inputs, output_hidden_states=True, use_cache=False)
        length = prefix.shape[1]
        torch.testing.assert_close(
            hidden.last[:, own], output.last_hidden_state[:, length:], atol=1e-4, rtol=0
        )
        torch.testing.assert_close(
            hidden.located[:, own], output.hidden_states[LOCATED_LAYER][:, length:], atol=1e-4, rtol=0
        )
        roles = torch.cat([hidden.roles[:, :length], hidden.roles[:, length:][:, own]], 1)
        torch.testing.assert_close(roles, output.hidden_states[ROLE_LAYER], atol=1e-4, rtol=0)


@torch.no_grad()
def test_branches_do_not_see_each_other(decoder: Decoder, pack: Packs, images: Tensor) -> None:
    """Another branch changes nothing, bit for bit; a branch's own token changes what follows it and nothing
    before.
    """
    rows = pack.region_rows.clone()
    changed = BRANCHES.index(2) + 1
    rows[0, changed] = (rows[0, changed] + 1) % VOCABULARY
    before, after = decoder(pack, images), decoder(replace(pack, region_rows=rows), images)
    differs = (before.last != after.last).any(-1)[0]
    assert differs.tolist() == [own == 2 and index >= changed for index, own in enumerate(BRANCHES)]
    length = pack.prefix_rows.shape[1]
    assert torch.equal(before.roles[:, :length], after.roles[:, :length])


@torch.no_grad()
def test_logits(decoder: Decoder) -> None:
    """The table tells the next token; all that are not trained, of logit 0 each, count together in the last
    place.
    """
    torch.manual_seed(5)
    hidden = torch.randn(3, HIDDEN)
    logits = decoder.logits(hidden)
    whole = torch.cat([hidden @ decoder.table.T, torch.zeros(3, 32064 - VOCABULARY)], 1)
    ours, theirs = (all_logits.log_softmax(-1)[:, :VOCABULARY] for all_logits in (logits, whole))
    # Sums of many terms, in another order on each processor.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(
        decoder.embed(torch.tensor([VOCABULARY, 3])), torch.stack([torch.zeros(HIDDEN), decoder.table[3]])
    )


def phi3v_merge(features: Tensor) -> Tensor:
    """(n, 576, C) -> (n, 144, 4 C) as `reshape_hd_patches_2x2merge` of vLLM's phi3v.py for single crops."""
    count, _, width = features.shape
    merged = (
        features.reshape(count, 24, 24, width).reshape(count, 12, 2, 12, 2, width).permute(0, 1, 3, 2, 4, 5)
    )
    return merged.reshape(count, 144, 4 * width)


def test_blocks_are_merged_in_phi3v_s_order() -> None:
    """Four patches lie side by side as in Phi-3-vision; of their places the first one's is kept."""
    features = torch.randn(2, 576, FEATURES)
    merged, reference = merge_blocks(features), torch.unflatten(phi3v_merge(features), -1, (4, FEATURES))
    assert merged.shape == (2, 144, BLOCK_FEATURES)
    assert torch.equal(merged[..., : 4 * PATCH_FEATURES], reference[..., :PATCH_FEATURES].flatten(2))
    assert torch.equal(merged[..., 4 * PATCH_FEATURES :], reference[:, :, 0, PATCH_FEATURES:])


@torch.no_grad()
def test_the_projection_is_phi3v_s() -> None:
    """Written as a checkpoint's tensors and applied as Phi-3-vision does, it gives the same tokens in the
    same order.
    """
    torch.manual_seed(3)
    projection = Projection()
    streams = torch.randn(2, 576, CLIP_WIDTH)
    streams[..., CODES] = position_codes()[1:]
    streams[..., -1] = 0  # the separators' own channel, which no picture sets
    codes = streams[..., CODES.start : CODES.start + 2 * SIDE]
    ours = projection(torch.cat([streams[..., LUMA : LUMA + COLOUR], streams[..., OUT2], codes], -1))

    written = _projection(projection.state_dict())
    rows = phi3v_merge(streams).view(2, 12, 12, -1)
    view = torch.cat([rows, written["sub_GN"].expand(2, 12, 1, -1)], 2).flatten(1, 2)
    tokens = torch.cat([view, written["glb_GN"].expand(2, 1, -1), view], 1)
    inner = tokens @ written["img_projection.0.weight"].T + written["img_projection.0.bias"]
    expected = (
        torch.nn.functional.gelu(inner) @ written["img_projection.2.weight"].T
        + written["img_projection.2.bias"]
    )
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


def test_a_picture_s_tokens() -> None:
    """As many as the server reserves for a picture of one crop."""
    assert num_image_tokens(1, 1) == IMAGE_TOKENS
