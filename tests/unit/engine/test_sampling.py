"""OpenAI's parameters become vLLM's, and our stops are always among them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from vllm import SamplingParams
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import EngineCoreOutput, EngineCoreRequest, FinishReason
from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector
from vllm.v1.outputs import LogprobsLists

from phiserve.constraints.constraint import Constraint
from phiserve.core import GenerationRequest
from phiserve.engine.deltas import deltas_of
from phiserve.engine.sampling import engine_choices, sampling_params
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.compatibility import OPENAI_FIELDS
from phiserve.protocol.translation import to_generation_request

STOPS = [2, 32000, 32001, 32007]


def request(**fields: Any) -> GenerationRequest:
    """The inner request of a chat request with these fields."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    return to_generation_request(ChatCompletionRequest.model_validate(body))


def params(**fields: Any) -> SamplingParams:
    return sampling_params(request(**fields), max_tokens=50)


def test_defaults() -> None:
    """OpenAI's defaults, our stops, no log-probabilities."""
    result = params()
    assert (result.temperature, result.top_p, result.n, result.max_tokens, result.logprobs) == (
        1,
        1,
        1,
        50,
        None,
    )
    assert sorted(result.stop_token_ids) == STOPS
    assert result.output_kind == RequestOutputKind.FINAL_ONLY
    assert params(stream=True).output_kind == RequestOutputKind.DELTA


def test_low_temperatures() -> None:
    """As the compatibility table says: nothing between 0, which is greedy, and vLLM's least."""
    assert [params(temperature=value).temperature for value in (0, 0.001, 0.01)] == [0, 0.01, 0.01]
    assert "between 0 and 0.01 the engine takes 0.01" in OPENAI_FIELDS["temperature"].note


def test_everything_arrives() -> None:
    """Each served parameter reaches the engine."""
    result = params(
        temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, n=3, seed=11, frequency_penalty=0.1,
        presence_penalty=0.2, repetition_penalty=1.1, stop=["a", "b"], stop_token_ids=[5], min_tokens=2,
        logit_bias={"7": -100}, logprobs=True, top_logprobs=4, allowed_token_ids=[9, 5], bad_words=["x y"],
    )  # fmt: skip
    assert (result.temperature, result.top_p, result.top_k, result.min_p, result.n) == (0.5, 0.9, 7, 0.1, 3)
    assert (result.seed, result.frequency_penalty, result.presence_penalty) == (11, 0.1, 0.2)
    assert (result.repetition_penalty, result.stop, result.min_tokens) == (1.1, ["a", "b"], 2)
    assert (result.allowed_token_ids, result.bad_words) == ([9, 5], ["x y"])
    assert (sorted(result.stop_token_ids), result.logit_bias, result.logprobs) == (
        [2, 5, *STOPS[1:]],
        {7: -100},
        4,
    )


def test_ignore_eos_leaves_our_stops_out() -> None:
    """Only the stop ids that the client itself names stay."""
    result = params(ignore_eos=True, stop_token_ids=[9])
    assert (result.stop_token_ids, result.ignore_eos) == ([9], True)


def test_constraints() -> None:
    """Reach vLLM as the grammars they were written as, with the backend that its own verification would
    name.
    """
    assert params().structured_outputs is None
    constrained = replace(request(), constraint=Constraint('start: "a"', "response_format"))
    outputs = sampling_params(constrained, max_tokens=50).structured_outputs
    assert outputs is not None
    assert (outputs.grammar, outputs._backend) == ('start: "a"', "guidance")


def test_constrained_answers_end() -> None:
    """Whatever `ignore_eos` says: nothing may follow their end."""
    constrained = replace(request(ignore_eos=True), constraint=Constraint('start: "a"', "response_format"))
    result = sampling_params(constrained, max_tokens=50)
    assert (sorted(result.stop_token_ids), result.ignore_eos) == (STOPS, False)


def test_every_seed_is_a_seed() -> None:
    """Also -1, which vLLM takes for none, and the largest, to which it would add a choice's index."""
    assert [params(seed=seed).seed for seed in (0, 7)] == [0, 7]
    for seed in (-1, -(2**63), 2**63 - 1):
        folded = params(seed=seed).seed
        assert folded is not None
        assert 0 <= folded < 2**63 - 128


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"top_p": 0}])
def test_greedy_runs_once(fields: dict[str, Any]) -> None:
    """Greedy choices are alike, so one is run; `top_p` 0 is greedy too."""
    result = params(n=5, **fields)
    assert (result.n, result.temperature, result.top_p) == (1, 0, 1)
    assert engine_choices(request(n=5, **fields)) == 1
    assert engine_choices(request(n=5)) == 5


def test_where_tokens_are_read() -> None:
    """What is told of them comes through vLLM, though nothing is made of them: no text, whose first token
    would take the whole prompt to be decoded.
    """
    ids = (5, 6)
    reads = sampling_params(replace(request(), read_token_ids=ids), max_tokens=1)
    assert (reads.logprob_token_ids, reads.detokenize, reads.skip_clone) == ([5, 6], False, True)
    assert (params().detokenize, params().skip_clone) == (True, False)
    processor = OutputProcessor(None, log_stats=False)
    sent = EngineCoreRequest("r", [1, 2, 3], None, reads.clone(), None, 0.0, None, None, None)
    sent.external_req_id = "r"
    collector = RequestOutputCollector(reads.output_kind, "r")
    processor.add_request(sent, None, None, 0, collector)
    told = LogprobsLists(np.array([[9, *ids]]), np.array([[-0.1, -2.0, -3.0]], np.float32), np.array([1]))
    processor.process_outputs([EngineCoreOutput("r", [9], told, finish_reason=FinishReason.LENGTH)])
    output = collector.get_nowait()
    assert isinstance(output, RequestOutput)
    (delta,) = deltas_of(output, 1, is_constrained=False)
    ((position,),) = [delta.positions or ()]
    assert (delta.text, delta.token_ids, delta.finish_reason) == ("", [9], "length")
    assert {one.token_id: one.logprob for one in position.top} == {9: pytest.approx(-0.1), 5: -2.0, 6: -3.0}
