"""The decoder alone learns to answer in letters, and is asked what it could do."""

from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.nn import functional

from demo import batches_letters, train_letters
from demo.compact import SHARPNESS
from demo.model import DemoModel
from demo.reader import IGNORED
from demo.train_letters import EASY_UNTIL, PLAN, LettersTask, draw_letters_batch
from demo.train_shop import PLAN as SHOP_PLAN
from demo.vocabulary import ids_before_letters, row_of, trained_ids
from phiserve.checkpoint.demo import compact_weights

LATER = int(EASY_UNTIL * PLAN.steps) // 24 * 24 + 24


@pytest.fixture
def task() -> LettersTask:
    """The task."""
    torch.manual_seed(0)
    return LettersTask()


def tensors(batch: tuple[Any, ...]) -> list[Any]:
    return [torch.from_numpy(array) if hasattr(array, "shape") else array for array in batch]


def test_only_the_decoder_learns(task: LettersTask) -> None:
    """A step of letters moves nothing else, but for a head that tells which option is right; what it tells is
    part of the loss, as is the letter in logits as sharp as they are served.
    """
    batch = tensors(task.batch(1))
    loss, measures = task.loss(*batch)
    loss.backward()  # type: ignore[no-untyped-call]
    moved = {name.partition(".")[0] for name, one in task.named_parameters() if one.grad is not None}
    assert moved == {"decoder", "option_head"}
    *asked, options, kind = batch
    assert kind == "letters"
    answered = task.answered(*asked, sharpness=SHARPNESS)
    known = options != IGNORED
    told = task.option_head(answered.hidden.located[known])[:, 0]
    option_loss = functional.binary_cross_entropy_with_logits(told, options[known].float())
    assert measures["option"] == pytest.approx(option_loss.item(), rel=1e-4)
    expected = answered.losses.mean() / SHARPNESS + 0.5 * option_loss
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_what_was_asked_before(task: LettersTask) -> None:
    """Is held to what the model said then, and asks for no letters."""
    loss, measures = task.loss(*tensors(task.batch(8)))
    assert measures.keys() == {"before_answer", "before_token", "before_apart"}
    assert loss.item() == pytest.approx(measures["before_apart"] + 0.5 * measures["before_answer"], rel=1e-4)


def test_the_loss_falls(task: LettersTask) -> None:
    """On one batch of texts, within a few steps."""
    batch, optimizer = tensors(task.batch(9)), torch.optim.Adam(task.parameters(), 2e-3)
    losses = []
    for _ in range(6):
        loss, _ = task.loss(*batch)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is drawn, of nothing."""
    names: list[str] = []

    def count(module: ModuleType, name: str, told: str) -> None:
        def draw(*arguments: Any, **_options: object) -> tuple[str, str]:
            names.append(f"{told}{len(arguments[2])}" if told == "pictures" else told)
            return "", told

        monkeypatch.setattr(module, name, draw)

    count(batches_letters, "texts", "texts")
    count(batches_letters, "pictures", "pictures")
    count(train_letters, "asked_before", "before")
    count(train_letters, "draw_shop_batch", "tools")
    return names


def test_what_steps_ask(drawn: list[str]) -> None:
    """Half of them what was asked before, calls of tools too; of the others at first all are about texts or
    shapes, later half are about pictures of any kind.
    """
    for step in range(12):
        draw_letters_batch(step)
    assert Counter(drawn) == {"before": 4, "tools": 2, "texts": 4, "pictures1": 2}
    drawn.clear()
    for step in range(LATER, LATER + 12):
        draw_letters_batch(step)
    assert Counter(drawn) == {"before": 4, "tools": 2, "texts": 1, "pictures1": 2, "pictures4": 3}


def test_weights_without_tools(task: LettersTask, drawn: list[str]) -> None:
    """Are not asked to call any."""
    weights = DemoModel(len(trained_ids())).state_dict()
    task.begin(weights, torch.tensor(ids_before_letters()[1:]))
    kinds = [draw_letters_batch(step, with_tools=task._knows_tools)[0] for step in range(24)]
    assert Counter(kinds) == {"before": 12, "letters": 12}
    assert "tools" not in drawn
    task.begin(weights, torch.tensor(ids_before_letters()))
    assert task._knows_tools


def test_tools_are_asked_for_in_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """With pictures that the stage before has not seen."""
    steps: list[int] = []

    def draw(step: int) -> tuple[str, None]:
        steps.append(step)
        return "", None

    monkeypatch.setattr(train_letters, "draw_shop_batch", draw)
    monkeypatch.setattr(train_letters, "asked_before", lambda *arguments: None)
    for step in range(0, 36, 2):
        draw_letters_batch(step)
    assert min(steps) > SHOP_PLAN.steps
    assert {step % 12 for step in steps} == {1, 3, 5, 7, 9, 11}


@pytest.mark.parametrize("is_there", [True, False])
def test_where_it_goes_on(
    task: LettersTask, is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the last checkpoint of `demo.train_shop`, here with a smaller table, or else from the package's
    weights.
    """
    trained: list[Any] = []
    monkeypatch.setattr(train_letters, "LettersTask", lambda: task)
    monkeypatch.setattr(train_letters, "train", lambda *arguments: trained.extend(arguments))
    if is_there:
        shop = DemoModel(len(ids_before_letters())).state_dict()
        state = {name: torch.full_like(tensor, 0.5) for name, tensor in shop.items()}
        state |= {"_before.table": state["decoder.table"]}
        torch.save({"task": state}, tmp_path / "shop.pt")
    train_letters.main(tmp_path)
    assert trained == [task, PLAN, tmp_path]
    packed = compact_weights()["tower.filters.weight"].float()
    expected = torch.full_like(packed, 0.5) if is_there else packed
    assert torch.equal(task.state_dict()["tower.filters.weight"], expected)
    if is_there:
        known = [row_of()[token] for token in ids_before_letters()]
        table = task.state_dict()["decoder.table"]
        assert torch.equal(table[known], torch.full_like(table[known], 0.5))
        assert torch.equal(table, task.state_dict()["_before.table"])
