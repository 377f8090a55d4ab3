"""The whole model as it is trained: tower, projection, decoder, and heads that only training has."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from demo.decoder import BLOCKS, HIDDEN, IMAGE_TOKENS, Decoder, Pack, Projection
from demo.reader import CLASSES, IGNORED, SLOTS, Reader, glyph_measures
from demo.roles import ORDINALS, ROLES
from demo.tower import Tower
from phiserve.checkpoint.demo_tower import COLOUR, OUT, SIDE

Measures = dict[str, float]

GLYPHS_OF_BLOCK = 4 * SLOTS
"""Places for glyphs in a block of four patches."""

_ROLE_WEIGHT, _PLACE_WEIGHT, _READ_WEIGHT = 0.3, 0.3, 0.5


class DemoModel(nn.Module):
    """Crops and packs -> loss."""

    def __init__(self, vocabulary: int) -> None:
        """`vocabulary`: how many tokens are trained."""
        super().__init__()
        self.tower = Tower()
        self.reader = Reader()
        self.projection = Projection()
        self.decoder = Decoder(vocabulary)
        self.place_head = nn.Linear(HIDDEN, 2 * SIDE)
        self.role_head = nn.Linear(HIDDEN, ROLES + ORDINALS)
        self.glyph_head = nn.Linear(HIDDEN, GLYPHS_OF_BLOCK * CLASSES)

    def see(self, crops: Tensor) -> Tensor:
        """uint8 (n, 336, 336, 3) -> tower features (n, 576, FEATURES)."""
        features: Tensor = self.tower(crops)
        return features

    def answer_loss(
        self, pack: Pack, images: Tensor, targets: Tensor, places: Tensor, glyphs: Tensor, roles: Tensor
    ) -> tuple[Tensor, Measures]:
        """Loss of the answers and of what the hidden states should know on the way.

        `images` (B, n, IMAGE_TOKENS, H); `targets` (B, R), `places` (B, R, 2), `glyphs` (B, n, 576, SLOTS), `roles`
        (B, n, 144, 2) with IGNORED.
        """
        hidden = self.decoder(pack, images)
        asked = targets != IGNORED
        logits, wanted = self.decoder.logits(hidden.last[asked]), targets[asked]
        loss = functional.cross_entropy(logits, wanted)
        right = logits.argmax(-1) == wanted
        measures = {"answer": loss.item(), "token": right.float().mean().item()}
        if pack.image_starts:
            located = places[..., 0] != IGNORED
            place_loss = self._place_loss(hidden.located[located], places[located])
            blocks = seen_blocks(hidden.roles, pack.image_starts)
            role_loss = self._role_loss(blocks, roles.flatten(1, 2))
            carried = self.glyph_head(blocks).unflatten(-1, (GLYPHS_OF_BLOCK, CLASSES))
            glyph_loss, glyph_share = glyph_measures(carried, glyphs_of_blocks(glyphs))
            loss = loss + _PLACE_WEIGHT * place_loss + _ROLE_WEIGHT * role_loss + _READ_WEIGHT * glyph_loss
            read = right[located[asked]]
            measures |= {"place": place_loss.item(), "role": role_loss.item(), "read": read.float().mean().item()}
            measures["carried"] = glyph_share
        return loss, measures

    def reading_loss(self, features: Tensor, glyphs: Tensor, edges: Tensor) -> tuple[Tensor, Measures]:
        """Loss of what the tower should have read; see `Reader.loss`."""
        loss, measures = self.reader.loss(features[..., COLOUR : COLOUR + OUT], glyphs, edges)
        return _READ_WEIGHT * loss, measures

    def _place_loss(self, located: Tensor, places: Tensor) -> Tensor:
        rows, columns = self.place_head(located).float().chunk(2, -1)
        return functional.cross_entropy(rows, places[:, 0]) + functional.cross_entropy(columns, places[:, 1])

    def _role_loss(self, blocks: Tensor, labels: Tensor) -> Tensor:
        role, ordinal = self.role_head(blocks).float().split([ROLES, ORDINALS], -1)
        role_loss = functional.cross_entropy(role.flatten(0, 1), labels[..., 0].flatten(), ignore_index=IGNORED)
        return role_loss + functional.cross_entropy(ordinal.flatten(0, 1), labels[..., 1].flatten(), ignore_index=IGNORED)


def seen_blocks(prefix: Tensor, starts: tuple[int, ...]) -> Tensor:
    """The blocks of the global views, which have seen all of their picture: (B, P, H) -> (B, 144 * pictures, H)."""
    view = torch.cat([prefix[:, start + IMAGE_TOKENS // 2 + 1 : start + IMAGE_TOKENS] for start in starts], 1)
    return torch.unflatten(view, 1, (-1, BLOCKS + 1))[:, :, :-1].flatten(1, 2)


def glyphs_of_blocks(glyphs: Tensor) -> Tensor:
    """Labels of patches (B, n, 576, SLOTS) by blocks: (B, 144 * n, GLYPHS_OF_BLOCK)."""
    grid = torch.unflatten(glyphs, 2, (BLOCKS, 2, BLOCKS, 2))
    return grid.permute(0, 1, 2, 4, 3, 5, 6).reshape(len(glyphs), -1, GLYPHS_OF_BLOCK)
