"""The projection and the decoder: Phi-3-vision's own computation, laid out for training.

A picture's tokens are computed once for several questions about it: a pack is a common prefix (text and
pictures) and then branches, each of which sees the prefix and itself. Positions in a branch go on from the
prefix, as if it stood alone.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from phiserve.checkpoint.demo_tower import COLOUR, OUT, SIDE

HIDDEN, LAYERS, HEADS, FFN = 256, 6, 4, 704
HEAD = HIDDEN // HEADS
ROPE_THETA = 10000.0
EPSILON = 1e-5

BLOCKS = 12
"""Tokens in a row of a picture: CLIP's patches merged 2 x 2."""

IMAGE_TOKENS = 2 * BLOCKS * (BLOCKS + 1) + 1
"""One crop, a separator, the global view of the same pixels; each row of blocks ends with a separator."""

PATCH_FEATURES = COLOUR + OUT
BLOCK_FEATURES = 4 * PATCH_FEATURES + 2 * SIDE
"""What the projection reads of a block: its four patches, and the codes of the first one's place."""

LOCATED_LAYER, ROLE_LAYER = 4, 3
"""After which layers training asks where the next character stands, and what text a block belongs to."""


@dataclass(frozen=True, slots=True)
class Packs:
    """A batch of packs, all with the same prefix length P and region length R.

    `prefix_rows` (B, P) and `region_rows` (B, R): embedding rows; `image_starts`: where in the prefix
    pictures lie. `positions` (B, R); `mask` (B, 1, R, P + R): what each token of the region sees.
    """

    prefix_rows: Tensor
    image_starts: tuple[int, ...]
    region_rows: Tensor
    positions: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Hidden:
    """Hidden states: of the region after the last norm and at LOCATED_LAYER (B, R, H), of all at ROLE_LAYER
    (B, P + R, H).
    """

    last: Tensor
    located: Tensor
    roles: Tensor


class Projection(nn.Module):
    """Blocks of tower features -> image tokens, as Phi-3-vision's `img_projection` with its separators."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(BLOCK_FEATURES, HIDDEN)
        self.outer = nn.Linear(HIDDEN, HIDDEN)
        self.row_end = nn.Parameter(torch.randn(HIDDEN) * 0.5)
        self.view_end = nn.Parameter(torch.randn(HIDDEN) * 0.5)
        nn.init.normal_(self.outer.weight, std=0.5 * HIDDEN**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Tower features (n, 576, FEATURES) -> (n, IMAGE_TOKENS, HIDDEN)."""
        before = self.inner(merge_blocks(features)).unflatten(1, (BLOCKS, BLOCKS))
        bias = self.inner.bias.to(before.dtype)
        ends = (self.row_end.to(before.dtype) + bias).expand(len(before), BLOCKS, 1, -1)
        rows = torch.cat([before, ends], 2).flatten(1, 2)
        view_end = (self.view_end.to(before.dtype) + bias).expand(len(before), 1, -1)
        tokens: Tensor = self.outer(functional.gelu(torch.cat([rows, view_end], 1)))
        return torch.cat([tokens, tokens[:, :-1]], 1)


class DecoderLayer(nn.Module):
    """A Llama-style layer: rotary attention and a gated MLP, each behind an RMS norm."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN, bias=False)
        self.out = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.gate_up = nn.Linear(HIDDEN, 2 * FFN, bias=False)
        self.down = nn.Linear(FFN, HIDDEN, bias=False)
        self.attention_norm = nn.Parameter(torch.ones(HIDDEN))
        self.mlp_norm = nn.Parameter(torch.ones(HIDDEN))
        for linear, gain in ((self.qkv, 1.0), (self.out, 0.3), (self.gate_up, 1.0), (self.down, 0.3)):
            nn.init.normal_(linear.weight, std=gain * linear.in_features**-0.5)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, prefix: int, mask: Tensor) -> Tensor:
        """(B, P + R, H) -> the same; `cos`, `sin` (B, 1, P + R, HEAD / 2)."""
        states = (
            self.qkv(rms_norm(x, self.attention_norm)).unflatten(-1, (3, HEADS, HEAD)).permute(2, 0, 3, 1, 4)
        )
        q, k, v = rotate(states[0], cos, sin), rotate(states[1], cos, sin), states[2]
        own = functional.scaled_dot_product_attention(
            q[:, :, :prefix], k[:, :, :prefix], v[:, :, :prefix], is_causal=True
        )
        rest = functional.scaled_dot_product_attention(q[:, :, prefix:], k, v, attn_mask=mask)
        x = x + self.out(torch.cat([own, rest], 2).transpose(1, 2).flatten(2))
        gate, up = self.gate_up(rms_norm(x, self.mlp_norm)).chunk(2, -1)
        output: Tensor = x + self.down(functional.silu(gate) * up)
        return output


class Decoder(nn.Module):
    """Embeddings of the trained tokens, layers, last norm. Tied: the same table tells the next token."""

    def __init__(self, vocabulary: int) -> None:
        """`vocabulary`: how many tokens are trained; one more row embeds all others as zeros."""
        super().__init__()
        self.table = nn.Parameter(torch.randn(vocabulary, HIDDEN) * 0.05)
        self.table.is_table = True  # type: ignore[attr-defined] # no matrix to the optimiser
        self.layers = nn.ModuleList([DecoderLayer() for _ in range(LAYERS)])
        self.last_norm = nn.Parameter(torch.ones(HIDDEN))

    def embed(self, rows: Tensor) -> Tensor:
        """Rows (…) -> (…, H); row `vocabulary` is zeros."""
        return functional.embedding(rows, functional.pad(self.table, (0, 0, 0, 1)))

    def forward(self, pack: Packs, images: Tensor) -> Hidden:
        """Hidden states of a batch of packs; `images` (B, pictures, IMAGE_TOKENS, H)."""
        prefix = pack.prefix_rows.shape[1]
        x = torch.cat([self._prefix(pack, images), self.embed(pack.region_rows).to(images.dtype)], 1)
        ahead = torch.arange(prefix).expand(len(x), -1)
        cos, sin = rotary(torch.cat([ahead, pack.positions], 1))
        roles = located = x
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, cos.to(x.dtype), sin.to(x.dtype), prefix, pack.mask)
            if number == ROLE_LAYER:
                roles = x
            if number == LOCATED_LAYER:
                located = x[:, prefix:]
        return Hidden(rms_norm(x[:, prefix:], self.last_norm), located, roles)

    def logits(self, hidden: Tensor) -> Tensor:
        """(n, H) -> (n, vocabulary + 1); the last stands for all tokens that are not trained, each of logit
        0.
        """
        from phiserve.chat.special_tokens import VOCAB_SIZE

        known = (hidden @ self.table.to(hidden.dtype).T).float()
        others = torch.full((len(known), 1), math.log(VOCAB_SIZE - len(self.table)))
        return torch.cat([known, others], 1)

    def _prefix(self, pack: Packs, images: Tensor) -> Tensor:
        text = self.embed(pack.prefix_rows).to(images.dtype)
        parts, end = [], 0
        for number, start in enumerate(pack.image_starts):
            parts += [text[:, end:start], images[:, number]]
            end = start + IMAGE_TOKENS
        return torch.cat([*parts, text[:, end:]], 1)


def merge_blocks(features: Tensor) -> Tensor:
    """(n, 576, FEATURES) -> (n, 144, BLOCK_FEATURES): 2 x 2 patches side by side, in the order of
    Phi-3-vision's merge.
    """
    grid = torch.unflatten(features, 1, (BLOCKS, 2, BLOCKS, 2))
    patches = (
        grid[..., :PATCH_FEATURES]
        .permute(0, 1, 3, 2, 4, 5)
        .reshape(len(features), BLOCKS * BLOCKS, 4 * PATCH_FEATURES)
    )
    codes = grid[:, :, 0, :, 0, PATCH_FEATURES:].reshape(len(features), BLOCKS * BLOCKS, 2 * SIDE)
    return torch.cat([patches, codes], -1)


def rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    """RMS norm in float32."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON) * weight).to(x.dtype)


def rotary(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (B, T) -> cosines and sines (B, 1, T, HEAD / 2)."""
    frequencies = ROPE_THETA ** -(torch.arange(0, HEAD, 2) / HEAD)
    angles = positions[:, None, :, None] * frequencies
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions to (B, heads, T, HEAD), half against half."""
    left, right = x.chunk(2, -1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)
