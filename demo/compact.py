"""The served tensors: from training to the package, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor

from demo.language import SPACE, token_ids
from demo.vocabulary import ids_of, trained_ids

SHARPNESS = 4
"""Logits are multiplied by this, exactly: at OpenAI's default temperature of 1 the model answers as it would
at a quarter.

Answers are spelled one character a token: a few unlikely ones would spoil most of them.
"""

_NEW_TOKEN = 0.03
"""Spread of what embeddings of tokens that the package does not know begin with."""

_PARTS = ("tower.", "projection.", "decoder.")


def compact(task: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that are served, in bfloat16, with the ids of the trained tokens."""
    tensors = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in task.items()
        if name.startswith(_PARTS)
    }
    tensors["decoder.last_norm"] *= SHARPNESS
    ids = ids_of(len(tensors["decoder.table"]))
    return tensors | {"trained_ids": torch.tensor(ids, dtype=torch.int32)}


def trained(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the package as training holds them: `compact`, undone but for the rounding. Its table
    grows as in `grown`.
    """
    weights = {name: tensor.float() for name, tensor in tensors.items() if name != "trained_ids"}
    weights["decoder.last_norm"] /= SHARPNESS
    table = _with_new_tokens(weights["decoder.table"], tensors["trained_ids"].tolist())
    return weights | {"decoder.table": table}


def grown(task: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state of an earlier stage for a later one: without what that stage was held to, and with all tokens
    that are trained now.

    Tokens that were not trained then begin as the same word with or without a space before it, if that was,
    and near nothing otherwise. Raises ValueError where it can't be told which were.
    """
    weights = {name: tensor for name, tensor in task.items() if not name.startswith("_before.")}
    table = weights["decoder.table"]
    return weights | {"decoder.table": _with_new_tokens(table, ids_of(len(table)))}


def _with_new_tokens(known: Tensor, ids: Sequence[int]) -> Tensor:
    """The table of all trained tokens, from one whose rows are those of `ids`."""
    rows = {token: row for row, token in enumerate(ids)}
    table = torch.randn(len(trained_ids()), known.shape[1]) * _NEW_TOKEN
    for row, token in enumerate(trained_ids()):
        if token in rows:
            table[row] = known[rows[token]]
        elif (like := _twin(token)) in rows:
            table[row] += known[rows[like]]
    return table


def _twin(token: int) -> int | None:
    """The same word with a space before it where `token` has none, and the other way round."""
    words = {known: word for word, known in token_ids().items()}
    if token not in words:
        return None
    word = words[token]
    return token_ids().get(word[1:] if word.startswith(SPACE) else f"{SPACE}{word}")
