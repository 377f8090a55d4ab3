"""What the package holds of a training state, and a training state of what the package holds."""

import torch

from demo.compact import compact, grown, trained
from demo.language import token_ids
from demo.model import DemoModel
from demo.vocabulary import ids_before_letters, row_of, trained_ids


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


def test_the_state_of_an_earlier_stage() -> None:
    """Each token that it knew keeps its embedding; the others begin near nothing. What that stage was held to
    is left out, all else is as it was.
    """
    torch.manual_seed(0)
    before = ids_before_letters()
    task = DemoModel(len(before)).state_dict()
    weights = grown(task | {"_before.table": task["decoder.table"]})
    assert weights.keys() == task.keys()
    rows = [row_of()[token] for token in before]
    assert torch.equal(weights["decoder.table"][rows], task["decoder.table"])
    new = [row for token, row in row_of().items() if token not in before]
    assert len(weights["decoder.table"]) == len(trained_ids()) == len(before) + len(new)
    letter = row_of()[token_ids()["\u2581G"]]
    like = task["decoder.table"][before.index(token_ids()["G"])]
    assert letter in new
    assert (weights["decoder.table"][letter] - like).std().item() < 0.04
    assert weights["decoder.table"][row_of()[token_ids()["\u2581Yes"]]].std().item() < 0.04
    others = (name for name in task if name != "decoder.table")
    assert all(torch.equal(weights[name], task[name]) for name in others)


def test_what_an_earlier_stage_left_is_packed_as_it_is() -> None:
    """With the tokens that it knew."""
    before = ids_before_letters()
    packed = compact(DemoModel(len(before)).state_dict())
    assert tuple(packed["trained_ids"].tolist()) == before
    assert len(packed["decoder.table"]) == len(before)
