"""What a training checkpoint becomes in the package."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from demo import export
from demo.compact import compact
from demo.model import DemoModel
from demo.train_letters import PLAN
from demo.train_shop import PLAN as SHOP_PLAN
from demo.vocabulary import trained_ids
from phiserve.checkpoint import demo, demo_weights
from phiserve.checkpoint.blank import BlankShape, tensor_specs
from phiserve.checkpoint.kinds import CheckpointKind
from phiserve.checkpoint.opened import open_checkpoint


@pytest.fixture(scope="module")
def task() -> dict[str, Tensor]:
    """The state of a model that is not trained."""
    torch.manual_seed(0)
    return DemoModel(len(trained_ids())).state_dict()


@pytest.fixture(scope="module")
def folder(task: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint expanded from it."""
    path = tmp_path_factory.mktemp("expanded")
    demo.write_expanded(compact(task), path)
    return path


def test_only_what_is_served(task: dict[str, Tensor]) -> None:
    """Tower, projection and decoder in bfloat16, and which tokens were trained; training's own heads stay
    behind.
    """
    tensors = compact(task)
    ids = tensors.pop("trained_ids")
    assert ids.tolist() == list(trained_ids())
    assert {name.partition(".")[0] for name in tensors} == {"tower", "projection", "decoder"}
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert len(tensors) == sum(name.startswith(("tower.", "projection.", "decoder.")) for name in task)


def test_its_logits_are_sharper(task: dict[str, Tensor]) -> None:
    """By a power of two, which bfloat16 holds exactly: the most likely token stays; the training state is
    left as it is.
    """
    before = task["decoder.last_norm"].clone()
    assert torch.equal(compact(task)["decoder.last_norm"].float(), 4 * before)
    assert torch.equal(task["decoder.last_norm"], before)


def test_it_opens(folder: Path) -> None:
    """The expanded checkpoint passes the server's checks and says what it is."""
    checkpoint = open_checkpoint(str(folder))
    assert (checkpoint.kind, checkpoint.max_crops) == (CheckpointKind.DEMO, 1)
    assert (checkpoint.hidden_size, checkpoint.short_context, checkpoint.longest_context) == (256, 4096, 4096)


def test_its_tensors_are_phi3v_s(folder: Path) -> None:
    """Names and shapes are those of any Phi-3-vision of this size, but for the output layer, which is the
    embedding's.
    """
    shape = BlankShape(hidden_size=256, num_layers=6, num_heads=4, intermediate_size=704, clip_layers=3)
    expected = {name: tuple(size) for name, size, _, _ in tensor_specs(shape) if name != "lm_head.weight"}
    with safe_open(folder / "model.safetensors", "pt") as tensors:
        found = {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118 - no mapping
    assert found == expected


def test_tokens_that_were_not_trained_are_zeros(folder: Path, task: dict[str, Tensor]) -> None:
    """A trained token's embedding stands at its id, all other rows are zeros."""
    with safe_open(folder / "model.safetensors", "pt") as tensors:
        table = tensors.get_tensor("model.embed_tokens.weight")
    assert table.any(1).nonzero().flatten().tolist() == list(trained_ids())
    assert torch.equal(table[list(trained_ids())], task["decoder.table"].to(torch.bfloat16))


@pytest.mark.parametrize("is_last", [True, False])
def test_from_checkpoint_to_package(
    task: dict[str, Tensor],
    is_last: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The newest checkpoint's weights are written where the package looks for them, and told with their
    steps: the last stage's, or where there is none the one's before it.
    """
    zeros = {name: torch.zeros_like(tensor) for name, tensor in task.items()}
    if is_last:
        torch.save({"task": zeros, "optimizers": [], "step": 7}, tmp_path / f"{PLAN.name}.pt")
    older = task if is_last else zeros
    torch.save({"task": older, "optimizers": [], "step": 7}, tmp_path / f"{SHOP_PLAN.name}.pt")
    monkeypatch.setattr(demo_weights, "__file__", str(tmp_path / "demo_weights.py"))
    export.main(tmp_path)
    monkeypatch.setattr(demo_weights, "files", lambda package: tmp_path)
    loaded, expected = demo.compact_weights(), compact(zeros)
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert "after 7 steps" in capsys.readouterr().out
