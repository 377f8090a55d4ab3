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
    """A step of calls moves nothing else, but for a head that tells where the shape stands."""
    loss, measures = task.loss(*tensors(task.batch(1)))
    loss.backward()  # type: ignore[no-untyped-call]
    moved = {
        name.partition(".")[0] for name, parameter in task.named_parameters() if parameter.grad is not None
    }
    assert moved == {"decoder", "place_head"}
    assert 0 <= measures["calls_token"] <= 1
    assert measures["place"] > 0


def test_what_is_not_known_counts_most(task: ShopTask) -> None:
    """Of a tool's batch: with weights of `1 - p`, and a little."""
    *arrays, places, kind = tensors(task.batch(3))
    assert kind == "results"
    loss, measures = task.loss(*arrays, places, kind)
    losses = task.answered(*arrays).losses.detach()
    weights = 1.1 - (-losses).exp()
    assert loss.item() == pytest.approx(((losses * weights).sum() / weights.sum()).item(), rel=1e-4)
    assert measures["results_answer"] == pytest.approx(losses.mean().item(), rel=1e-4)


def test_what_steps_ask() -> None:
    """Half of them what was asked before, in all the ways in which it was asked; of the others most ask for
    calls or tell results alone.
    """
    kinds = Counter(draw_shop_batch(step)[0] for step in range(12))
    assert kinds == {"before": 6, "calls": 3, "results": 2, "tools": 1}


def test_in_which_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures before the question and behind it, two, none."""
    drawn: list[str] = []

    def count(module: ModuleType, name: str) -> None:
        def draw(*_arguments: object, **_options: object) -> None:
            drawn.append(f"{module.__name__.removeprefix('demo.')}.{name}")

        monkeypatch.setattr(module, name, draw)

    for name in ("calls", "one_picture", "question_first", "talk", "told_again"):
        count(batches_shop, name)
    for name in ("one_picture", "two_pictures", "question_first", "talk"):
        count(batches, name)
    for step in range(48):
        draw_shop_batch(step)
    assert Counter(drawn) == {
        "batches.one_picture": 16,
        "batches.two_pictures": 4,
        "batches.question_first": 2,
        "batches.talk": 2,
        "batches_shop.calls": 12,
        "batches_shop.told_again": 8,
        "batches_shop.one_picture": 2,
        "batches_shop.question_first": 1,
        "batches_shop.talk": 1,
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
