"""The last stage goes on from what is there, with pictures that no stage has seen."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from demo import regain, train, train_further
from demo.train_further import FurtherTask


@pytest.mark.parametrize(("there", "taken"), [(("demo",), "demo"), (("demo", "regained"), "regained")])
def test_where_it_goes_on(
    there: tuple[str, ...], taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From `demo.train`'s last checkpoint, or from `demo.regain`'s where that was asked for."""
    trained: list[Any] = []
    monkeypatch.setattr(train_further, "FurtherTask", lambda: nn.Linear(1, 1, bias=False))
    monkeypatch.setattr(train_further, "train", lambda *arguments: trained.extend(arguments))
    for number, name in enumerate(there):
        torch.save({"task": {"weight": torch.full((1, 1), float(number))}}, tmp_path / f"{name}.pt")
    train_further.main(tmp_path)
    assert trained[0].weight.item() == there.index(taken)
    assert trained[1:] == [train_further.PLAN, tmp_path]


def test_its_pictures_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first batch is the one after the last that was drawn before it."""
    monkeypatch.setattr(nn.Module, "compile", lambda *arguments, **options: None)
    drawn: list[int] = []
    monkeypatch.setattr(train.DemoTask, "batch", lambda self, step: drawn.append(step))
    regain.HeadsTask.batch(object.__new__(regain.HeadsTask), regain.PLAN.steps - 1)
    FurtherTask().batch(0)
    assert drawn[1] == drawn[0] + 1 > train.PLAN.steps
