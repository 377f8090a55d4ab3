"""The trainer: schedules, rates, and checkpoints from which it goes on as if it had never stopped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from demo import training
from demo.training import Optimizers, Plan, train

PLAN = Plan("toy", steps=12, muon_rate=0.02, adam_rate=0.01, warm_up=3, save_every=4, say_every=4)


class Toy(nn.Module):
    """A matrix, a bias and a table, which learn a fixed map; `stop` is the step at which the machine
    fails.
    """

    def __init__(self, stop: int | None = None) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.linear = nn.Linear(8, 8)
        self.table = nn.Parameter(torch.randn(5, 8, generator=generator))
        self.table.is_table = True  # type: ignore[attr-defined]
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(8, 8, generator=generator))
            self.linear.bias.zero_()
        self._stop, self._step = stop, 0

    def batch(self, step: int) -> tuple[Any, ...]:
        rng = np.random.default_rng(step)
        return rng.standard_normal((4, 8), np.float32), rng.integers(0, 5, 4), ("as it is",)

    def loss(self, *batch: Tensor) -> tuple[Tensor, dict[str, float]]:
        x, rows, words = batch
        assert words == ("as it is",)
        if self._step == self._stop:
            raise KeyboardInterrupt
        self._step += 1
        loss = (self.linear(x + self.table[rows]).float() - 2 * x.flip(1)).square().mean()
        return loss, {"mean": loss.item(), "never": float("nan")}


def weights(task: Toy) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in task.state_dict().items()}


def test_factor() -> None:
    """Rates rise over the first steps, stay, and fall to zero with the last."""
    plan = Plan("p", steps=100, muon_rate=1, adam_rate=1, warm_up=10, decay=0.4)
    assert [plan.factor(step) for step in (0, 4, 9, 30, 60)] == pytest.approx([0.1, 0.5, 1, 1, 1])
    assert [plan.factor(step) for step in (80, 99, 100, 120)] == pytest.approx([0.5, 0.025, 0, 0])


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Interrupted and started anew, training ends with the same weights, bit for bit, as without a break."""
    whole, first, second = Toy(), Toy(stop=6), Toy()
    train(whole, PLAN, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(first, PLAN, tmp_path / "broken")
    assert torch.load(tmp_path / "broken" / "toy.pt")["step"] == 4
    train(second, PLAN, tmp_path / "broken")
    expected, found = weights(whole), weights(second)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert any(not torch.equal(expected[name], start) for name, start in weights(Toy()).items())
    assert [path.name for path in (tmp_path / "broken").iterdir()] == ["toy.pt"]


def test_a_finished_training_is_left_alone(tmp_path: Path) -> None:
    """Called once more, it loads the last checkpoint and takes no step."""
    done, again = Toy(), Toy(stop=0)
    train(done, PLAN, tmp_path)
    train(again, PLAN, tmp_path)
    assert all(torch.equal(tensor, weights(done)[name]) for name, tensor in weights(again).items())


def test_it_learns_and_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The loss falls; each line names the step and means of what was measured, without what was never a
    number.
    """
    train(
        Toy(),
        Plan("toy", steps=60, muon_rate=0.1, adam_rate=0.03, warm_up=3, say_every=20, save_every=60),
        tmp_path,
    )
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["20", "40", "60"]
    losses = [float(line[2].removeprefix("loss=")) for line in lines]
    assert losses[0] > losses[1] > losses[2]
    assert [part.partition("=")[0] for part in lines[0][2:]] == ["loss", "mean"]


def test_a_batch_that_can_not_be_drawn_ends_the_training(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer does not wait for ever for a process that is gone; what happened there is on standard
    error.
    """
    monkeypatch.setattr(Toy, "batch", lambda self, step: {}[step])
    with pytest.raises(RuntimeError, match="draws batches has ended"):
        train(Toy(), PLAN, tmp_path)
    assert "KeyError: 0" in capfd.readouterr().err


def test_matrices_have_an_optimiser_of_their_own() -> None:
    """Muon for matrices; vectors, and tables though they have two dimensions, go to AdamW."""
    task = Toy()
    muon, adam = (
        [p for group in optimizer.param_groups for p in group["params"]] for optimizer in named(task)
    )
    assert [p is task.linear.weight for p in muon] == [True]
    assert {id(p) for p in adam} == {id(task.linear.bias), id(task.table)}


def named(task: Toy) -> tuple[torch.optim.Optimizer, ...]:
    return Optimizers(list(task.parameters()), PLAN).all


def test_rates_follow_the_plan() -> None:
    """Each step's rates are the plan's; a parameter's own scale multiplies them; gradients are used once."""
    task = Toy()
    task.linear.bias.rate_scale = 0.25  # type: ignore[attr-defined]
    optimizers = Optimizers(list(task.parameters()), PLAN)
    task.loss(*(torch.from_numpy(array) if hasattr(array, "shape") else array for array in task.batch(0)))[
        0
    ].backward()  # type: ignore[no-untyped-call]
    optimizers.step(1)
    rates = {
        id(p): group["lr"]
        for optimizer in optimizers.all
        for group in optimizer.param_groups
        for p in group["params"]
    }
    factor = PLAN.factor(1)
    assert rates[id(task.linear.weight)] == pytest.approx(0.02 * factor)
    assert rates[id(task.table)] == pytest.approx(0.01 * factor)
    assert rates[id(task.linear.bias)] == pytest.approx(0.01 * factor * 0.25)
    assert all(parameter.grad is None for parameter in task.parameters())


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_a_gradient_made_orthogonal(shape: tuple[int, int]) -> None:
    """The same directions, all of about the same length."""
    torch.manual_seed(0)
    grad = torch.randn(shape)
    left, _, right = torch.linalg.svd(grad, full_matrices=False)
    made = training._orthogonal(grad, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    lengths = left.T @ made @ right.T
    assert torch.allclose(lengths, lengths.diag().diag(), atol=1e-4)
    assert 0.5 < lengths.diag().min() <= lengths.diag().max() < 1.5
