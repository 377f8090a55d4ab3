"""What the package holds of a training state, and a training state of what the package holds."""

import torch

from demo.compact import compact, trained
from demo.language import token_ids
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


def test_tokens_that_the_package_does_not_know() -> None:
    """Begin near the same word with or without a space before it, else near nothing; known ones keep their
    embeddings, wherever their rows are now.
    """
    task = DemoModel(len(trained_ids())).state_dict()
    packed = compact(task)
    new = [token_ids()[word] for word in ("red", "\u2581costs")]
    known = torch.tensor([row for row, token in enumerate(trained_ids()) if token not in new])
    packed |= {name: packed[name][known] for name in ("decoder.table", "trained_ids")}
    table = trained(packed)["decoder.table"]
    assert torch.equal(table[known], task["decoder.table"][known].to(torch.bfloat16).float())
    row = {token: number for number, token in enumerate(trained_ids())}
    like = task["decoder.table"][row[token_ids()["\u2581red"]]]
    assert (table[row[new[0]]] - like).std().item() < 0.04
    assert 0.02 < table[row[new[1]]].std().item() < 0.04
