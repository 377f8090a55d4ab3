"""What the package holds of a training state, and a training state of what the package holds."""

import torch

from demo.compact import compact, trained
from demo.model import DemoModel
from demo.vocabulary import trained_ids


def test_there_and_back() -> None:
    """The served tensors as they were, but for rounding to bfloat16."""
    torch.manual_seed(0)
    task = DemoModel(len(trained_ids())).state_dict()
    regained = trained(compact(task))
    assert {name.partition(".")[0] for name in regained} == {"tower", "projection", "decoder"}
    for name, tensor in regained.items():
        assert torch.equal(tensor, task[name].to(torch.bfloat16).float()), name
