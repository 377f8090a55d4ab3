"""vLLM's outputs as deltas."""

from collections.abc import Sequence
from typing import cast, get_args

from msgspec.structs import replace
from vllm.logprobs import SampleLogprobs
from vllm.outputs import CompletionOutput, RequestOutput

from phiserve.core import FinishReason
from phiserve.engine.interface import Candidate, Delta, Position
from phiserve.errors import EngineFailure

_FINISH_REASONS = get_args(FinishReason)

_GAVE_UP = "The engine gave up on the request"
_COSTLY_CONSTRAINT = f"{_GAVE_UP}: most likely, what its answer must look like costs too much to follow"


def deltas_of(output: RequestOutput, copies: int, *, is_constrained: bool) -> list[Delta]:
    """One for each choice; greedy choices are computed once and told `copies` times. Raises EngineFailure."""
    for completion in output.outputs:
        if completion.finish_reason not in (None, *_FINISH_REASONS):
            failed = completion.finish_reason == "error"
            raise EngineFailure(_COSTLY_CONSTRAINT if failed and is_constrained else _GAVE_UP)
    deltas = [_delta(completion, output) for completion in output.outputs]
    if copies == 1:
        return deltas
    return [replace(delta, index=index) for delta in deltas for index in range(copies)]


def _delta(completion: CompletionOutput, output: RequestOutput) -> Delta:
    return Delta(
        completion.index,
        completion.text,
        completion.token_ids,
        None if completion.logprobs is None else _positions(completion.token_ids, completion.logprobs),
        cast("FinishReason | None", completion.finish_reason),
        output.num_cached_tokens or 0,
    )


def _positions(token_ids: Sequence[int], logprobs: SampleLogprobs) -> tuple[Position, ...]:
    """vLLM's candidates, which hold the chosen token besides the k best where it is not one of them."""
    positions = []
    for token_id, candidates in zip(token_ids, logprobs, strict=True):
        ranked = sorted(candidates.items(), key=lambda item: item[1].rank or 0)
        top = tuple(Candidate(candidate_id, candidate.logprob) for candidate_id, candidate in ranked)
        positions.append(Position(Candidate(token_id, candidates[token_id].logprob), top))
    return tuple(positions)
