"""Each row of a batch gets the log-probabilities that its request asked for, as if it were alone."""

import pytest
import torch
from vllm.v1.outputs import LogprobsTensors
from vllm.v1.sample import sampler as vllms
from vllm.v1.sample.logits_processor import LogitsProcessors
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.sampler import Sampler

from phiserve.plugin.sampler import RowSampler
from phiserve.plugin.worker import count_not_below

VOCABULARY = 50
LOGITS = torch.randn(3, VOCABULARY, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _without_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the worker has it."""
    monkeypatch.setattr(vllms, "batched_count_greater_than", count_not_below)


def metadata(num_top: int | None, named: dict[int, list[int]], rows: int = 3) -> SamplingMetadata:
    """A greedy batch in which `named` rows ask about tokens and others about the `num_top` likeliest."""
    none = torch.zeros(rows)
    return SamplingMetadata(
        temperature=None,
        all_greedy=True,
        all_random=False,
        top_p=None,
        top_k=None,
        generators={},
        max_num_logprobs=num_top,
        no_penalties=True,
        prompt_token_ids=None,
        frequency_penalties=none,
        presence_penalties=none,
        repetition_penalties=none,
        output_token_ids=[[] for _ in range(rows)],
        allowed_token_ids_mask=None,
        bad_words_token_ids={},
        logitsprocs=LogitsProcessors(),
        logprob_token_ids=named or None,
    )


def logprobs(sampler: Sampler, logits: torch.Tensor, batch: SamplingMetadata) -> LogprobsTensors:
    tensors = sampler(logits.clone(), batch).logprobs_tensors
    assert tensors is not None
    return tensors


def row(tensors: LogprobsTensors, index: int, asked: int) -> tuple[list[int], list[float], int]:
    """What vLLM reads of a row whose request asked for so many."""
    return (
        tensors.logprob_token_ids[index, : asked + 1].tolist(),
        tensors.logprobs[index, : asked + 1].tolist(),
        int(tensors.selected_token_ranks[index]),
    )


@pytest.mark.parametrize("ids", [[7], [7, 9, 3, 11, 30, 2, 8]], ids=["fewer", "more"])
def test_rows_are_as_if_alone(ids: list[int]) -> None:
    """The second row names tokens, the others ask for the five likeliest."""
    together = logprobs(RowSampler(), LOGITS, metadata(5, {1: ids}))
    for index in (0, 2):
        alone = logprobs(Sampler(), LOGITS[index : index + 1], metadata(5, {}, rows=1))
        assert row(together, index, 5) == row(alone, 0, 5)
    alone = logprobs(Sampler(), LOGITS[1:2], metadata(None, {0: ids}, rows=1))
    assert row(together, 1, len(ids)) == row(alone, 0, len(ids))
    assert row(together, 1, len(ids))[0][1:] == ids


def test_named_tokens_of_a_whole_batch() -> None:
    """The very tensors that vLLM makes of a greedy batch, padding included."""
    batch = metadata(None, {0: [7, 9, 3], 2: [11]})
    ours, theirs = logprobs(RowSampler(), LOGITS, batch), logprobs(Sampler(), LOGITS, batch)
    for one, other in zip(ours[:3], theirs[:3], strict=True):
        assert torch.equal(one, other)
        assert one.dtype == other.dtype


def test_values_are_of_the_whole_vocabulary() -> None:
    """A softmax over all tokens, of which the named ones are told."""
    tensors = logprobs(RowSampler(), LOGITS, metadata(None, {0: [4, 5]}))
    expected = LOGITS[0].log_softmax(-1)[[int(LOGITS[0].argmax()), 4, 5]]
    assert torch.allclose(tensors.logprobs[0], expected)


def test_without_named_tokens_nothing_changes() -> None:
    """The batch of most steps."""
    ours = logprobs(RowSampler(), LOGITS, metadata(3, {}))
    theirs = logprobs(Sampler(), LOGITS, metadata(3, {}))
    assert all(torch.equal(one, other) for one, other in zip(ours[:3], theirs[:3], strict=True))


def test_vllm_gives_others_padding() -> None:
    """The reason for it; fails when vLLM no longer does."""
    tensors = logprobs(Sampler(), LOGITS, metadata(5, {1: [7]}))
    assert tensors.logprobs[0, 1:].tolist() == [-torch.inf]
