"""The decoder alone learns, and is held to what it said before."""

from typing import Any

import pytest
import torch

from demo.compact import SHARPNESS, trained
from demo.held import HeldTask
from demo.language import token_ids
from demo.train_shop import ShopTask
from demo.vocabulary import trained_ids
from phiserve.checkpoint.demo import compact_weights


@pytest.fixture
def task() -> ShopTask:
    """A stage that learns so."""
    torch.manual_seed(0)
    return ShopTask()


def tensors(batch: tuple[Any, ...]) -> list[Any]:
    return [torch.from_numpy(array) if hasattr(array, "shape") else array for array in batch]


def test_what_learns() -> None:
    """The decoder, and the heads that are named."""
    learning = [name for name, one in HeldTask("role_head.").named_parameters() if one.requires_grad]
    names = {name.partition(".")[0] for name in learning if not name.startswith("_before.")}
    assert names == {"decoder", "role_head"}


def test_held_to_what_it_said(task: ShopTask) -> None:
    """What was asked before is answered as the weights did at the beginning, which had no word for tokens
    that they did not know.
    """
    weights = trained(compact_weights())
    known = compact_weights()["trained_ids"]
    task.begin(weights, known[known != token_ids()["."]])
    batch = tensors(task.batch(10))
    assert batch[-1] == "before"
    _, before = task.loss(*batch)
    task.begin(weights, torch.tensor(trained_ids()))
    _, same = task.loss(*batch)
    assert same["before_apart"] == pytest.approx(0, abs=1e-5)
    assert before["before_apart"] > 0.01
    with torch.no_grad():
        task.decoder.table.add_(torch.randn_like(task.decoder.table) * 0.1)
    _, moved = task.loss(*batch)
    assert moved["before_apart"] > 0.1
    assert moved["before_answer"] > same["before_answer"]


def test_as_sharp_as_it_is_served(task: ShopTask) -> None:
    """Logits of trained tokens grow with `sharpness`; those of all others stay."""
    arrays = tensors(task.batch(3))[:-2]
    plain, sharp = task.answered(*arrays), task.answered(*arrays, sharpness=SHARPNESS)
    torch.testing.assert_close(sharp.logits[:, :-1], SHARPNESS * plain.logits[:, :-1], rtol=1e-4, atol=1e-3)
    assert torch.equal(sharp.logits[:, -1], plain.logits[:, -1])
