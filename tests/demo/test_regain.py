"""Training can go on from what the package holds."""

import pytest
import torch

from demo.compact import compact
from demo.regain import HeadsTask
from phiserve.checkpoint.demo import compact_weights


def test_only_the_heads_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """All else stands as the package has it, and what is exported again is the package's, but for tokens that
    are trained since.
    """
    monkeypatch.setattr(torch.nn.Module, "compile", lambda *arguments, **options: None)
    task = HeadsTask()
    learning = {
        name.partition(".")[0] for name, parameter in task.named_parameters() if parameter.requires_grad
    }
    assert learning == {"reader", "place_head", "role_head", "glyph_head", "carrying_head"}
    again, packed = compact(task.state_dict()), compact_weights()
    assert again.keys() == packed.keys()
    known = torch.isin(again["trained_ids"], packed["trained_ids"])
    again |= {name: again[name][known] for name in ("decoder.table", "trained_ids")}
    assert all(torch.equal(again[name], packed[name]) for name in packed)
