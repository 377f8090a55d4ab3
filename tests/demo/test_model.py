"""The losses reach what they should teach, and nothing else."""

import math
import random

import pytest
import torch
from torch import Tensor

from demo import batches
from demo.decoder import HIDDEN, IMAGE_TOKENS, PATCH_FEATURES, Packs, merge_blocks
from demo.kinds import USUAL
from demo.model import DemoModel, of_blocks, seen_blocks
from demo.reader import IGNORED, SLOTS
from demo.roles import ORDINALS, ROLES
from demo.style import one_font
from demo.tower import FEATURES
from demo.train import region_mask
from demo.vocabulary import trained_ids


@pytest.fixture(scope="module")
def model() -> DemoModel:
    torch.manual_seed(0)
    return DemoModel(len(trained_ids()))


@pytest.fixture(scope="module")
def arrays() -> dict[str, Tensor]:
    """One pack about one picture."""
    batch = batches.one_picture(random.Random(4), one_font(), USUAL, 1, 128)
    names = [name for name in batch.__dataclass_fields__ if name != "image_starts"]
    return {name: torch.from_numpy(getattr(batch, name)) for name in names} | {
        "starts": torch.tensor(batch.image_starts)
    }


def pack_of(arrays: dict[str, Tensor]) -> Packs:
    prefix = arrays["prefix_rows"]
    mask = region_mask(arrays["segments"], prefix.shape[1])
    return Packs(prefix, tuple(arrays["starts"].tolist()), arrays["region_rows"], arrays["positions"], mask)


def test_every_weight_is_learned(model: DemoModel, arrays: dict[str, Tensor]) -> None:
    """The losses of one batch reach every weight of the model."""
    features = model.see(arrays["crops"][0])
    images = model.projection(features)[:, None]
    labels = {name: arrays[name] for name in ("targets", "places", "spelled", "labels", "roles")}
    labels["labels"] = model.reading(features)[None]
    loss, measures = model.answer_loss(pack_of(arrays), images, *labels.values())
    read_loss, _ = model.reading_loss(features, arrays["labels"][0])
    held_loss, held = model.carrying_loss(features, images[:, 0], model.reading(features))
    model.zero_grad()
    (loss + read_loss + held_loss).backward()  # type: ignore[no-untyped-call]
    assert [
        name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()
    ] == []
    assert measures["answer"] == pytest.approx(math.log(32064), rel=0.2)  # it knows nothing yet, and says so
    assert measures["place"] == pytest.approx(2 * math.log(24), rel=0.3)
    assert {*held} == {f"held_{name}" for name in ("glyphs", "edges", "counts", "colours")}


@torch.no_grad()
def test_the_answer_s_loss_is_of_targets_alone(model: DemoModel, arrays: dict[str, Tensor]) -> None:
    """Where nothing is asked for, nothing counts: without pictures the loss is the mean over targets of each
    one's.
    """
    batch = batches.talk(random.Random(0), 1, 40)
    prefix, segments = torch.from_numpy(batch.prefix_rows), torch.from_numpy(batch.segments)
    mask = region_mask(segments, prefix.shape[1])
    pack = Packs(prefix, (), torch.from_numpy(batch.region_rows), torch.from_numpy(batch.positions), mask)
    targets, *labels = (
        torch.from_numpy(array)
        for array in (batch.targets, batch.places, batch.spelled, batch.labels, batch.roles)
    )
    nothing = torch.zeros(1, 0)
    loss, measures = model.answer_loss(pack, nothing, targets, *labels)
    single = []
    for index in (targets[0] != IGNORED).nonzero().flatten().tolist():
        one = torch.full_like(targets, IGNORED)
        one[0, index] = targets[0, index]
        single.append(model.answer_loss(pack, nothing, one, *labels)[0])
    assert loss.item() == pytest.approx(torch.stack(single).mean().item(), rel=1e-4)
    assert {*measures} == {"answer", "token"}


def test_blocks_are_those_of_the_global_view() -> None:
    """Picture by picture its 144 blocks, in rows of 12 without the separators between, and not those of the
    crop before.
    """
    starts = (3, 3 + IMAGE_TOKENS + 2)
    prefix = torch.arange(2 * IMAGE_TOKENS + 9)[None, :, None].expand(1, -1, HIDDEN)
    expected = [
        start + 157 + 13 * row + column for start in starts for row in range(12) for column in range(12)
    ]
    assert seen_blocks(prefix, starts)[0, :, 0].tolist() == expected


def test_what_is_told_of_patches_by_blocks() -> None:
    """A block's glyphs are those of its patches, in the order in which the projection reads them."""
    glyphs = torch.randint(0, 60, (2, 576, SLOTS))
    features = torch.zeros(2, 576, FEATURES)
    features[..., :SLOTS] = glyphs
    merged = merge_blocks(features)[..., : 4 * PATCH_FEATURES].reshape(2, 144, 4, PATCH_FEATURES)
    assert torch.equal(of_blocks(glyphs), merged[..., :SLOTS].flatten(2).long())


@torch.no_grad()
def test_a_right_role_has_no_loss() -> None:
    """Role and ordinal are told block by block; IGNORED is not asked for."""
    blocks, head = torch.eye(3, HIDDEN)[None], torch.zeros(ROLES + ORDINALS, HIDDEN)
    labels = torch.tensor([[[2, 5], [0, IGNORED], [7, 31]]])
    for unit, (role, ordinal) in enumerate(((2, 5), (0, 1), (7, 31))):
        head[role, unit] = head[ROLES + ordinal, unit] = 40
    teacher = DemoModel(4)
    teacher.role_head.weight.copy_(head)
    teacher.role_head.bias.zero_()
    assert teacher._role_loss(blocks, labels).item() < 1e-3
    labels[0, 2, 0] = 6
    assert teacher._role_loss(blocks, labels).item() > 5


@torch.no_grad()
def test_a_right_place_has_no_loss() -> None:
    """The first half of the head's output tells the row, the second the column."""
    teacher = DemoModel(4)
    teacher.place_head.weight.zero_()
    teacher.place_head.bias.fill_(-40)
    teacher.place_head.bias[[3, 24 + 17]] = 40
    assert teacher._place_loss(torch.zeros(1, HIDDEN), torch.tensor([[3, 17]])).item() < 1e-3
    assert teacher._place_loss(torch.zeros(1, HIDDEN), torch.tensor([[17, 3]])).item() > 5
