"""What a step of the engine says of each request, handed to whoever waits for it.

As vLLM does it, with less work for what is nearly all of it: one more token of a stream.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import EngineCoreOutput, EngineCoreRequest
from vllm.v1.engine.detokenizer import FastIncrementalDetokenizer, uses_fast_detokenizer
from vllm.v1.engine.output_processor import (
    OutputProcessor,
    OutputProcessorOutput,
    RequestOutputCollector,
    RequestState,
)
from vllm.v1.engine.parallel_sampling import ParentRequest
from vllm.v1.metrics.stats import IterationStats

from phiserve.engine.detokenizer import TableDetokenizer, Texts, texts_of


class StepProcessor(OutputProcessor):
    """vLLM's output processor. `take_over` makes one of an engine's."""

    texts: Texts

    @classmethod
    def take_over(cls, processor: OutputProcessor) -> None:
        """Make `processor` one of these, before it has requests: vLLM's loop already holds it.

        It stays vLLM's where it has no tokenizer, or one that vLLM decodes with in another way.
        """
        if uses_fast_detokenizer(processor.tokenizer):
            processor.texts = texts_of(processor.tokenizer.backend_tokenizer)
            processor.__class__ = cls

    def add_request(
        self,
        request: EngineCoreRequest,
        prompt: str | None,
        parent_req: ParentRequest | None = None,
        request_index: int = 0,
        queue: RequestOutputCollector | None = None,
    ) -> None:
        """Expect outputs of one more request."""
        super().add_request(request, prompt, parent_req, request_index, queue)
        state = self.request_states[request.request_id]
        if type(state.detokenizer) is FastIncrementalDetokenizer and request.params.skip_special_tokens:
            state.detokenizer = TableDetokenizer(self.tokenizer, request, self.texts)
        if queue is not None and not isinstance(queue.ready, Wake):
            queue.ready = Wake()

    def process_outputs(
        self,
        engine_core_outputs: list[EngineCoreOutput],
        engine_core_timestamp: float | None = None,
        iteration_stats: IterationStats | None = None,
        **options: Any,
    ) -> OutputProcessorOutput:
        """Hand on the outputs of a step. See `OutputProcessor.process_outputs`."""
        others = []
        for output in engine_core_outputs:
            state = self.request_states.get(output.request_id)
            if state is None or not (_takes_plain_tokens(state) and _is_plain(output)):
                others.append(output)
                continue
            if iteration_stats is not None:
                _count(state, len(output.new_token_ids), engine_core_timestamp or 0.0, iteration_stats)
            _tell(state, output.new_token_ids)
        return super().process_outputs(others, engine_core_timestamp, iteration_stats, **options)


class PlainOutput(RequestOutput):
    """Tokens of a stream, and what `Engine` and vLLM's merging of outputs read of them."""

    finished = False
    kv_transfer_params = ec_transfer_params = None

    def __init__(self, state: RequestState, token_ids: Sequence[int], text: str) -> None:
        self.outputs = [CompletionOutput(state.request_index, text, token_ids, None, None)]
        self.num_cached_tokens = state.num_cached_tokens


class Wake:
    """An event for the one task that waits for a request's outputs.

    asyncio's own has a queue of tasks, and a coroutine for each wait.
    """

    def __init__(self) -> None:
        self._waiting: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Let the task that waits go on."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def clear(self) -> None:
        """Nothing to do: a task waits only while there is no output."""

    def wait(self) -> "asyncio.Future[None]":
        """What to await until `set` is called next."""
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting


def _takes_plain_tokens(state: RequestState) -> bool:
    """Whether the tokens of a request, after its first, are told one by one and change nothing else."""
    detokenizer = state.detokenizer
    return (
        not state.is_prefilling
        and state.parent_req is None
        and state.queue is not None
        and state.stream_interval == 1
        and isinstance(detokenizer, TableDetokenizer)
        and not detokenizer.stop
    )


def _is_plain(output: EngineCoreOutput) -> bool:
    """Whether nothing but tokens is told of the request."""
    return output == EngineCoreOutput(output.request_id, output.new_token_ids)


def _count(state: RequestState, num_tokens: int, now: float, statistics: IterationStats) -> None:
    """As `IterationStats.update_from_output` counts tokens after a request's first.

    `now`: when they were made, by the engine's clock.
    """
    statistics.num_generation_tokens += num_tokens
    statistics.inter_token_latencies_iter.append(now - state.stats.last_token_ts)
    state.stats.num_generation_tokens += num_tokens
    state.stats.last_token_ts = now


def _tell(state: RequestState, token_ids: list[int]) -> None:
    """Take in the tokens, and hand them on where they are awaited one by one."""
    detokenizer = state.detokenizer
    detokenizer.update(token_ids, False)
    if state.output_kind == RequestOutputKind.DELTA:
        text = detokenizer.get_next_output_text(False, True)
        state.queue.put(PlainOutput(state, token_ids, text))
