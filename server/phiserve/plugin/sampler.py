"""vLLM's sampler, in which each request gets the log-probabilities that it asked for itself."""

import numpy as np
import torch
from vllm.v1.outputs import LogprobsTensors, SamplerOutput
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.sampler import Sampler

TokenIds = dict[int, list[int]]
"""Rows of a batch, with the tokens that each asks about."""


class RowSampler(Sampler):
    """Keeps log-probabilities of tokens that were named apart from those of the most likely ones.

    Where one request of a batch names tokens, vLLM 0.32 gives every other request of that batch padding in
    place of its own log-probabilities (`Sampler.forward`). vLLM takes as many columns of a row as its
    request asked for.
    """

    def forward(
        self, logits: torch.Tensor, sampling_metadata: SamplingMetadata, *args: object, **kwargs: object
    ) -> SamplerOutput:
        """Sample as vLLM does; the rows that name no tokens keep the most likely ones."""
        self._num_top = sampling_metadata.max_num_logprobs
        self._is_greedy = sampling_metadata.all_greedy
        output: SamplerOutput = super().forward(logits, sampling_metadata, *args, **kwargs)
        return output

    def gather_specific_token_logprobs(
        self, logprobs: torch.Tensor, logprob_token_ids: TokenIds, sampled: torch.Tensor
    ) -> LogprobsTensors | None:
        """What rows ask for: `logprobs` are (n, vocabulary), `sampled` (n,).

        Columns: the sampled token, then the named or the most likely ones, then padding.
        """
        if logprob_token_ids and self._num_top is None and self._is_greedy:
            return of_named(logprobs, logprob_token_ids, sampled)
        named = super().gather_specific_token_logprobs(logprobs, logprob_token_ids, sampled)
        if named is None or self._num_top is None:
            return named
        top = self.gather_logprobs(logprobs, self._num_top, token_ids=sampled)
        return joined(named, top, [*logprob_token_ids])


def of_named(logprobs: torch.Tensor, named: TokenIds, sampled: torch.Tensor) -> LogprobsTensors:
    """What vLLM's own function gives of a greedy batch, in a third of the time.

    That looks through the vocabulary for the rank of each sampled token, which is the first, and fills its
    tensors by one call for each row.
    """
    width = max(map(len, named.values()))
    ids, is_named = np.zeros((len(logprobs), width + 1), np.int64), np.zeros((len(logprobs), width + 1), bool)
    is_named[:, 0] = True
    for row, token_ids in named.items():
        ids[row, 1 : len(token_ids) + 1] = token_ids
        is_named[row, 1 : len(token_ids) + 1] = True
    columns = torch.from_numpy(ids).to(logprobs.device)
    columns[:, 0] = sampled
    is_padding = torch.from_numpy(~is_named).to(logprobs.device)
    return LogprobsTensors(
        logprob_token_ids=columns.to(torch.int32),
        logprobs=logprobs.gather(-1, columns).masked_fill_(is_padding, -torch.inf),
        selected_token_ranks=torch.ones_like(sampled),
    )


def joined(named: LogprobsTensors, top: LogprobsTensors, rows: list[int]) -> LogprobsTensors:
    """`named` in these rows, `top` in all others, as wide as the wider one of them."""
    width = max(named.logprobs.shape[1], top.logprobs.shape[1])
    ids, logprobs = _padded(top.logprob_token_ids, width, 0), _padded(top.logprobs, width, -torch.inf)
    ids[rows] = _padded(named.logprob_token_ids, width, 0)[rows]
    logprobs[rows] = _padded(named.logprobs, width, -torch.inf)[rows]
    return LogprobsTensors(ids, logprobs, top.selected_token_ranks)


def _padded(columns: torch.Tensor, width: int, value: float) -> torch.Tensor:
    """A copy with columns of `value` on the right."""
    return torch.nn.functional.pad(columns, (0, width - columns.shape[1]), value=value)
