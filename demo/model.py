"""The whole model as it is trained: tower, projection, decoder, and heads that only training has."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from demo.decoder import BLOCKS, HIDDEN, IMAGE_TOKENS, Decoder, Packs, Projection
from demo.reader import (
    CLASSES,
    COUNTS,
    EDGES,
    GLYPH_LABELS,
    IGNORED,
    READING,
    SLOTS,
    Measures,
    Reader,
    asked_loss,
    edge_and_count_measures,
    glyph_measures,
)
from demo.roles import ORDINALS, ROLES
from demo.tower import Tower
from phiserve.checkpoint.demo_tower import COLOUR, OUT, SIDE

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
        self.carrying_head = nn.Linear(HIDDEN, 4 * (SLOTS * CLASSES + EDGES + COUNTS + COLOUR))

    def see(self, crops: Tensor) -> Tensor:
        """uint8 (n, 336, 336, 3) -> tower features (n, 576, FEATURES)."""
        features: Tensor = self.tower(crops)
        return features

    def answer_loss(
        self,
        pack: Packs,
        images: Tensor,
        targets: Tensor,
        places: Tensor,
        spelled: Tensor,
        reading: Tensor,
        roles: Tensor,
    ) -> tuple[Tensor, Measures]:
        """Loss of the answers and of what the hidden states should know on the way.

        `images` (B, n, IMAGE_TOKENS, H); `targets` (B, R), `places` and `spelled` (B, R, 2), `reading` (B, n,
        576, READING), `roles` (B, n, 144, 2) with IGNORED.
        """
        hidden = self.decoder(pack, images)
        asked = targets != IGNORED
        logits, wanted = self.decoder.logits(hidden.last[asked]), targets[asked]
        loss = functional.cross_entropy(logits, wanted)
        right = logits.argmax(-1) == wanted
        measures = {"answer": loss.item(), "token": right.float().mean().item()}
        if not pack.image_starts:
            return loss, measures
        located = places[..., 0] != IGNORED
        place_loss = self._place_loss(hidden.located[located], places[located])
        blocks = seen_blocks(hidden.roles, pack.image_starts)
        role_loss = self._role_loss(blocks, roles.flatten(1, 2))
        spelled_loss = self._role_loss(hidden.roles[:, pack.prefix_rows.shape[1] :], spelled)
        glyph_loss, glyph_share = self._glyph_loss(blocks, reading[..., GLYPH_LABELS])
        loss = loss + _PLACE_WEIGHT * place_loss + _ROLE_WEIGHT * (role_loss + spelled_loss)
        measures |= {
            "place": place_loss.item(),
            "role": role_loss.item(),
            "read": right[located[asked]].float().mean().item(),
            "carried": glyph_share,
            "spelled": spelled_loss.item(),
        }
        return loss + _READ_WEIGHT * glyph_loss, measures

    def reading_loss(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Measures]:
        """Loss of what the tower should have read; see `Reader.loss`."""
        loss, measures = self.reader.loss(features[..., COLOUR : COLOUR + OUT], labels)
        return _READ_WEIGHT * loss, measures

    def reading(self, features: Tensor) -> Tensor:
        """What the tower has read: features (n, 576, FEATURES) -> (n, 576, READING)."""
        return self.reader.reading(features[..., COLOUR : COLOUR + OUT])

    def carrying_loss(self, features: Tensor, images: Tensor, reading: Tensor) -> tuple[Tensor, Measures]:
        """Loss of what image tokens should hold of their blocks' patches: all that the tower has read, and
        colours.

        `features` (n, 576, FEATURES), `images` (n, IMAGE_TOKENS, H) made of them, `reading` (n, 576,
        READING).
        """
        held = torch.unflatten(self.carrying_head(seen_blocks(images, (0,))).float(), -1, (4, -1))
        glyphs, edges, counts, colours = torch.split(held, [SLOTS * CLASSES, EDGES, COUNTS, COLOUR], -1)
        read = torch.unflatten(of_blocks(reading), -1, (4, READING))
        glyph_loss, share = glyph_measures(
            torch.unflatten(glyphs, -1, (SLOTS, CLASSES)), read[..., GLYPH_LABELS]
        )
        other_loss, measures = edge_and_count_measures(edges, counts, read)
        true = torch.unflatten(of_blocks(features[..., :COLOUR].detach().float()), -1, (4, COLOUR))
        colour_loss = functional.mse_loss(colours, true) / true.var()
        measures |= {"glyphs": share, "colours": 1 - colour_loss.item()}
        return _READ_WEIGHT * (glyph_loss + other_loss + colour_loss), {
            f"held_{name}": value for name, value in measures.items()
        }

    def _glyph_loss(self, blocks: Tensor, glyphs: Tensor) -> tuple[Tensor, float]:
        """Loss of the glyphs that blocks (B, 144 * n, H) should hold, and the share that is right."""
        carried = self.glyph_head(blocks).unflatten(-1, (GLYPHS_OF_BLOCK, CLASSES))
        return glyph_measures(carried, of_blocks(glyphs.flatten(0, 1)).view(*blocks.shape[:2], -1))

    def _place_loss(self, located: Tensor, places: Tensor) -> Tensor:
        rows, columns = self.place_head(located).chunk(2, -1)
        return asked_loss(rows, places[:, 0]) + asked_loss(columns, places[:, 1])

    def _role_loss(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Loss of role and ordinal (B, n, 2) that hidden states (B, n, H) should tell."""
        role, ordinal = self.role_head(hidden).split([ROLES, ORDINALS], -1)
        return asked_loss(role, labels[..., 0]) + asked_loss(ordinal, labels[..., 1])


def seen_blocks(prefix: Tensor, starts: tuple[int, ...]) -> Tensor:
    """The blocks of the global views, which have seen all of their picture: (B, P, H) -> (B, 144 * pictures,
    H).
    """
    view = torch.cat([prefix[:, start + IMAGE_TOKENS // 2 + 1 : start + IMAGE_TOKENS] for start in starts], 1)
    return torch.unflatten(view, 1, (-1, BLOCKS + 1))[:, :, :-1].flatten(1, 2)


def of_blocks(patches: Tensor) -> Tensor:
    """What is told of patches (n, 576, k), by blocks: (n, 144, 4 * k), in the order in which the projection
    reads them.
    """
    grid = torch.unflatten(patches, 1, (BLOCKS, 2, BLOCKS, 2))
    return grid.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)
