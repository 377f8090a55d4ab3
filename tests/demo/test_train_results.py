"""Prices are read out of results from text alone first, then among all that was asked before."""

from pathlib import Path
from typing import Any

import pytest
import torch

from demo import train_results
from demo.reader import IGNORED
from demo.train_results import PLAN, TEXT_PLAN, ResultsTask, TextTask
from demo.train_shop import PLAN as SHOP_PLAN


def tensors(batch: tuple[Any, ...]) -> list[Any]:
    return [torch.from_numpy(array) if hasattr(array, "shape") else array for array in batch]


@pytest.fixture
def task() -> TextTask:
    """The task without pictures."""
    torch.manual_seed(0)
    return TextTask()


def test_digits_count_most(task: TextTask) -> None:
    """Of a batch of results the share of right digits is told, and other tokens weigh a fifth."""
    *arrays, targets, kind = tensors(task.batch(0))
    assert kind == "results"
    others: Any = "others"
    with torch.autocast("cpu", torch.bfloat16):
        loss, measures = task.loss(*arrays, targets, kind)
        plain, _ = task.loss(*arrays, targets, others)
        logits = task.answer_logits(*arrays, targets)
    wanted = targets[targets != IGNORED]
    losses = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
    is_digit = torch.isin(wanted, task._digits)
    assert 0.02 < is_digit.float().mean() < 0.5
    expected = (losses[is_digit].sum() + 0.2 * losses[~is_digit].sum()) / (
        is_digit.sum() + 0.2 * (~is_digit).sum()
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    assert plain.item() == pytest.approx(losses.mean().item(), rel=1e-3)
    assert set(measures) == {"results_answer", "results_token"}


def test_what_was_asked_before_comes_back() -> None:
    """Two of twelve steps are results; the pictures are others than the shop's stage had."""
    task = ResultsTask()
    kinds = [task.batch(step)[-1] for step in (5, 10, 11)]
    assert kinds == ["results", "results", "others"]


def test_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each plan goes on from the last one's weights."""
    state = {name: torch.full_like(tensor, 0.5) for name, tensor in TextTask().state_dict().items()}
    torch.save({"task": state}, tmp_path / f"{SHOP_PLAN.name}.pt")
    seen: list[tuple[str, float]] = []

    def train(task: ResultsTask, plan: Any, folder: Path) -> None:
        weights = task.state_dict()
        name = next(name for name in weights if name.startswith("decoder."))
        seen.append((plan.name, float(weights[name].float().mean())))
        later = {key: tensor + 1 for key, tensor in weights.items()}
        torch.save({"task": later}, folder / f"{plan.name}.pt")

    monkeypatch.setattr(train_results, "train", train)
    train_results.main(tmp_path)
    assert [name for name, _ in seen] == [TEXT_PLAN.name, PLAN.name]
    assert seen[1][1] == pytest.approx(seen[0][1] + 1)
