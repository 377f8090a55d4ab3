"""Positions choose rows of vLLM's own table; a stand-in for the rest of vLLM's model runner gives a batch."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.model_executor.layers.rotary_embedding.phi3_long_rope_scaled_rope import (
    Phi3LongRoPEScaledRotaryEmbedding,
)
from vllm.v1.worker.cpu_model_runner import CPUModelRunner

from phiserve.plugin import length_runner as module
from phiserve.plugin.length_runner import LengthRunner, choose_by_length, lowered

SHORT = 8


def rotated(positions: torch.Tensor, context: int) -> torch.Tensor:
    """Ones at these positions, turned by vLLM's layer in an engine with this context."""
    config = VllmConfig()
    config.model_config = SimpleNamespace(max_model_len=context)
    with set_current_vllm_config(config):
        layer = Phi3LongRoPEScaledRotaryEmbedding(
            head_size=4,
            rotary_dim=4,
            max_position_embeddings=64,
            original_max_position_embeddings=SHORT,
            base=10000,
            is_neox_style=True,
            dtype=torch.float32,
            short_factor=[1.0, 2.0],
            long_factor=[3.0, 40.0],
        )
    ones = torch.ones(len(positions), 4)
    query: torch.Tensor = layer(positions, ones, ones.clone())[0]
    return query


def runner(known: list[int], scheduled: list[int]) -> LengthRunner:
    """A runner whose batch has requests of so many known tokens, of which so many are in the step."""
    result = LengthRunner.__new__(LengthRunner)
    result.short_tokens = SHORT
    rows = np.array([*known, 5, 50], np.int32)  # what is left of requests that have gone
    result.input_batch = SimpleNamespace(num_reqs=len(known), num_tokens_no_spec=rows)
    result.num_scheduled_tokens = SimpleNamespace(np=np.array([*scheduled, 9, 9], np.int32))
    result.model = lambda positions, **others: (positions, others)
    return result


def positions_of(subject: LengthRunner, positions: torch.Tensor) -> torch.Tensor:
    given: torch.Tensor
    given, others = subject._model_forward(
        input_ids=None, positions=positions, intermediate_tensors=None, inputs_embeds="embeds"
    )
    assert others == {"input_ids": None, "intermediate_tensors": None, "inputs_embeds": "embeds"}
    return given


def test_each_row_has_the_factors_of_its_length() -> None:
    """Mixed in one step: decoding at both sides of the short context, and parts of prompts of both kinds."""
    positions = torch.tensor([7, 8, 2, 3, 4, 0, 1])
    subject = runner([SHORT, SHORT + 1, 5, 30], [1, 1, 3, 2])
    given = positions_of(subject, positions)
    short, long = rotated(positions, SHORT), rotated(positions, 32)
    expected = torch.cat([short[:1], long[1:2], short[2:5], long[5:]])
    torch.testing.assert_close(rotated(given, 32), expected, rtol=0, atol=0)
    assert not torch.allclose(short[2:5], long[2:5])
    assert positions.tolist() == [7, 8, 2, 3, 4, 0, 1]  # the runner's own


def test_all_alike() -> None:
    """Only long requests: nothing is copied. Only short ones: all positions are lower."""
    positions = torch.tensor([0, 1, 2, 20])
    assert positions_of(runner([30, 21], [3, 1]), positions) is positions
    assert positions_of(runner([3, 6], [3, 1]), positions).tolist() == [-8, -7, -6, 12]


def test_padding_stays() -> None:
    """Tokens that belong to no request."""
    given = lowered(torch.tensor([4, 9, 0, 0]), np.array([True, False]), np.array([1, 1], np.int32), SHORT)
    assert given.tolist() == [-4, 9, 0, 0]


@pytest.mark.parametrize(("length", "expected"), [(SHORT, LengthRunner), (None, CPUModelRunner)])
def test_only_where_requests_differ(
    monkeypatch: pytest.MonkeyPatch, length: int | None, expected: type[CPUModelRunner]
) -> None:
    """Otherwise vLLM's runner stays as it is."""
    config: Any = object()
    monkeypatch.setattr(module, "switching_length", {config: length}.get)
    subject = CPUModelRunner.__new__(CPUModelRunner)
    subject.vllm_config = config
    choose_by_length(subject)
    assert type(subject) is expected
    assert getattr(subject, "short_tokens", None) == length
