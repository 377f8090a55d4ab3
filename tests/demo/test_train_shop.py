"""The decoder alone learns to call tools, from whatever weights are there, and is asked what it could do."""

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from demo import batches, batches_shop, train_shop
from demo.train_shop import PLAN, ShopTask, draw_shop_batch
from phiserve.checkpoint.demo import compact_weights


@pytest.fixture
def task() -> ShopTask:
    """The task."""
    torch.manual_seed(0)
    return ShopTask()


def tensors(batch: tuple[Any, ...]) -> list[Any]:
    return [torch.from_numpy(array) if hasattr(array, "shape") else array for array in batch]


def test_only_the_decoder_learns(task: ShopTask) -> None:
    """A step moves nothing else."""
    with torch.autocast("cpu", torch.bfloat16):
        loss, measures = task.loss(*tensors(task.batch(11)))
    loss.backward()  # type: ignore[no-untyped-call]
    moved = {
        name.partition(".")[0] for name, parameter in task.named_parameters() if parameter.grad is not None
    }
    assert moved == {"decoder"}
    assert measures["tools_answer"] == pytest.approx(loss.item())
    assert 0 <= measures["tools_token"] <= 1


def test_many_steps_ask_what_was_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """In all the ways in which it was asked; the others tell tools, one of them behind long instructions."""
    drawn: list[str] = []

    def count(module: ModuleType, name: str) -> None:
        def draw(*arguments: object, words: int = 0) -> None:
            drawn.append(f"{module.__name__}.{name}{' long' * (words > 0 and name == 'one_picture')}")

        monkeypatch.setattr(module, name, draw)

    for name in ("one_picture", "question_first", "talk", "told_again"):
        count(batches_shop, name)
    for name in ("one_picture", "two_pictures", "question_first", "talk"):
        count(batches, name)
    for step in range(24):
        draw_shop_batch(step)
    assert Counter(drawn) == {
        "demo.batches.one_picture": 6,
        "demo.batches.two_pictures": 2,
        "demo.batches.question_first": 1,
        "demo.batches.talk": 1,
        "demo.batches_shop.one_picture": 4,
        "demo.batches_shop.one_picture long": 2,
        "demo.batches_shop.question_first": 2,
        "demo.batches_shop.talk": 2,
        "demo.batches_shop.told_again": 4,
    }


@pytest.mark.parametrize("is_there", [True, False])
def test_where_it_goes_on(
    task: ShopTask, is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the last checkpoint of `demo.train_further`, or else from the package's weights."""
    trained: list[Any] = []
    monkeypatch.setattr(train_shop, "ShopTask", lambda: task)
    monkeypatch.setattr(train_shop, "train", lambda *arguments: trained.extend(arguments))
    if is_there:
        state = {name: torch.full_like(tensor, 0.5) for name, tensor in task.state_dict().items()}
        torch.save({"task": state}, tmp_path / "further.pt")
    train_shop.main(tmp_path)
    assert trained == [task, PLAN, tmp_path]
    packed = compact_weights()["tower.filters.weight"].float()
    expected = torch.full_like(packed, 0.5) if is_there else packed
    assert torch.equal(task.state_dict()["tower.filters.weight"], expected)
