"""What is handed on of a step is what vLLM hands on."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import TokenizersBackend
from vllm import SamplingParams
from vllm.outputs import RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import (
    EngineCoreEvent,
    EngineCoreEventType,
    EngineCoreOutput,
    EngineCoreRequest,
    FinishReason,
)
from vllm.v1.engine.output_processor import OutputProcessor, RequestOutputCollector
from vllm.v1.engine.parallel_sampling import ParentRequest
from vllm.v1.metrics.stats import IterationStats, PrefillStats
from vllm.v1.outputs import LogprobsLists

from phiserve.engine.deltas import deltas_of
from phiserve.engine.interface import Delta
from phiserve.engine.step_outputs import StepProcessor, Wake
from phiserve.plugin.tokenizer import Phi3VTokenizer

ANSWER = (306, 626, 13, 1, 243, 162, 156, 133, 263)
"""Words, a newline, a control token, a smiley as four bytes, and a word."""


@pytest.fixture(scope="module")
def tokenizer(tokenizer_json: Path) -> TokenizersBackend:
    """As vLLM has it."""
    return Phi3VTokenizer.from_pretrained(str(tokenizer_json.parent))


def processors(tokenizer: TokenizersBackend) -> tuple[OutputProcessor, OutputProcessor]:
    """vLLM's, and one taken over."""
    theirs, ours = (OutputProcessor(tokenizer, log_stats=True) for _ in range(2))
    StepProcessor.take_over(ours)
    return theirs, ours


def add(processor: OutputProcessor, **options: Any) -> RequestOutputCollector:
    """A request `r`, or its choices `0_r`, `1_r`, and where its outputs come."""
    params = SamplingParams(output_kind=options.pop("kind", RequestOutputKind.DELTA), **options)
    sent = EngineCoreRequest("r", [1, 32010, 13], None, params, None, 0.0, None, None, None)
    sent.external_req_id = "r"
    queue = RequestOutputCollector(params.output_kind, "r")
    if params.n == 1:
        processor.add_request(sent, None, None, 0, queue)
        return queue
    parent = ParentRequest(sent)
    for index in range(params.n):
        child_id, child_params = parent.get_child_info(index)
        child = EngineCoreRequest(child_id, [1, 32010, 13], None, child_params, None, 0.0, None, None, None)
        child.external_req_id = "r"
        processor.add_request(child, None, parent, index, queue)
    return queue


def steps(ids: Iterable[str], *, logprobs: bool) -> list[list[EngineCoreOutput]]:
    """What an engine says of requests that all answer alike."""
    made = []
    for number, token_id in enumerate(ANSWER):
        step = [EngineCoreOutput(request_id, [token_id]) for request_id in ids]
        for output in step:
            if logprobs:
                output.new_logprobs = LogprobsLists(
                    np.array([[token_id, 5]]), np.array([[-0.5, -1.5]], np.float32), np.array([1])
                )
            if number == 0:
                output.prefill_stats = PrefillStats(3, 1, 2, 2)
                output.events = [EngineCoreEvent(EngineCoreEventType.SCHEDULED, 1.0)]
            if number == 3:
                output.events = [EngineCoreEvent(EngineCoreEventType.PREEMPTED, 1.0)]
            if number == len(ANSWER) - 1:
                output.finish_reason = FinishReason.LENGTH
        made.append(step)
    return made


def told(
    processor: OutputProcessor, queue: RequestOutputCollector, *, behind: int = 1, **made: Any
) -> tuple[list[list[Delta]], list[dict[str, Any]]]:
    """The deltas of all steps, taken after every `behind` of them, and vLLM's statistics of each."""
    outputs, statistics = [], []
    for number, step in enumerate(steps([*processor.request_states], **made)):
        counted = IterationStats()
        counted.iteration_timestamp = float(number)
        aborted = processor.process_outputs(step, 10.0 + number, counted).reqs_to_abort
        statistics.append(
            vars(counted) | {"prompt_token_stats": vars(counted.prompt_token_stats), "aborted": aborted}
        )
        if (number + 1) % behind == 0 and isinstance(output := queue.get_nowait(), RequestOutput):
            outputs.append(deltas_of(output, 1, is_constrained=False))
    return outputs, statistics


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ({}, {}),
        ({}, {"behind": 3}),
        ({"kind": RequestOutputKind.FINAL_ONLY}, {}),
        ({"stop": ["\n"]}, {}),
        ({"n": 2, "temperature": 1.0}, {}),
        ({"logprobs": 1}, {"logprobs": True}),
        ({"detokenize": False}, {}),
        ({"skip_special_tokens": False}, {}),
    ],
)
def test_outputs_and_statistics_are_vllms(
    options: dict[str, Any], made: dict[str, Any], tokenizer: TokenizersBackend
) -> None:
    """Of streams, whole answers, several choices, with stop strings, log-probabilities, or without text; also
    where the reader is behind, and several steps are told at once.
    """
    theirs, ours = (
        told(processor, add(processor, **options), **({"logprobs": False} | made))
        for processor in processors(tokenizer)
    )
    assert ours == theirs
    assert ours[0] != []


def test_without_a_tokenizer_all_is_vllms() -> None:
    """There is no text to make."""
    processor = OutputProcessor(None, log_stats=False)
    StepProcessor.take_over(processor)
    assert type(processor) is OutputProcessor


def test_aborted_requests_are_passed_over(tokenizer: TokenizersBackend) -> None:
    """The engine may still speak of them."""
    _, ours = processors(tokenizer)
    add(ours)
    ours.abort_requests(["r"], internal=True)
    assert ours.process_outputs([EngineCoreOutput("r", [306])], 1.0, IterationStats()).reqs_to_abort == []


def test_whoever_waits_goes_on() -> None:
    """Once an output comes; one who no longer waits is in nobody's way."""

    async def run() -> list[str]:
        wake, woken = Wake(), []

        async def wait(name: str) -> None:
            await wake.wait()
            woken.append(name)

        gone = asyncio.create_task(wait("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        wake.set()
        waiting = asyncio.create_task(wait("waiting"))
        await asyncio.sleep(0)
        assert woken == []
        wake.set()
        wake.set()
        await waiting
        return woken

    assert asyncio.run(run()) == ["waiting"]


def test_waiters_are_woken_by_outputs(tokenizer: TokenizersBackend) -> None:
    """vLLM's collector works with our event as with its own."""
    _, ours = processors(tokenizer)

    async def run() -> list[int]:
        queue, ids = add(ours), []
        for step in steps(["r"], logprobs=False):
            getting = asyncio.create_task(queue.get())
            await asyncio.sleep(0)
            ours.process_outputs(step, 1.0, IterationStats())
            output = await getting
            assert isinstance(output, RequestOutput)
            ids += output.outputs[0].token_ids
        return ids

    assert asyncio.run(run()) == [*ANSWER]
