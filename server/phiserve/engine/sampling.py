"""The inner request's options -> vLLM's sampling parameters."""

from typing import Any

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from phiserve.chat.special_tokens import STOP_TOKEN_IDS
from phiserve.constraints.constraint import Constraint
from phiserve.core import GenerationRequest

GRAMMAR_BACKEND = "guidance"
"""vLLM's name for llguidance, which follows the grammars that `constraints` writes."""

STOPS = tuple(int(token_id) for token_id in STOP_TOKEN_IDS)
"""The model's own; vLLM's `ignore_eos` covers its own end token only."""

SEEDS = 2**62
"""vLLM adds a choice's index to its seed, in 64 bits, and takes -1 for none: seeds are taken modulo this."""


class VerifiedParams(SamplingParams):
    """Parameters that have been verified.

    vLLM would do so again when they are sent, and compile a constraint for that, on the event loop.
    """

    def verify(self, *_: Any) -> None:
        """Nothing is left to verify."""


def engine_choices(request: GenerationRequest) -> int:
    """Sequences that the engine runs.

    Greedy choices are all alike, so one is run (vLLM refuses more) and copied.
    """
    return 1 if request.sampling.is_greedy else request.num_choices


def sampling_params(request: GenerationRequest, max_tokens: int) -> SamplingParams:
    """Build vLLM's parameters. Raises VLLMValidationError for what a surface cannot know.

    `ignore_eos` leaves constrained answers alone: nothing may follow their end. Where tokens are read, nobody
    wants the text, and so not the whole prompt decoded for what its first token looks like.
    """
    sampling, stops, reads = request.sampling, request.stops, request.read_token_ids is not None
    ignore_eos = stops.ignore_eos and request.constraint is None
    greedy = sampling.is_greedy
    return SamplingParams.from_optional(
        n=engine_choices(request),
        temperature=0.0 if greedy else sampling.temperature,
        top_p=1.0 if greedy else sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=None if sampling.seed is None else sampling.seed % SEEDS,
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        repetition_penalty=sampling.repetition_penalty,
        logit_bias=dict(sampling.logit_bias) or None,
        allowed_token_ids=None if sampling.allowed_token_ids is None else list(sampling.allowed_token_ids),
        bad_words=list(sampling.bad_words),
        logprobs=request.top_logprobs,
        logprob_token_ids=None if request.read_token_ids is None else list(request.read_token_ids),
        stop=list(stops.strings),
        stop_token_ids=sorted({*stops.token_ids, *(() if ignore_eos else STOPS)}),
        ignore_eos=ignore_eos,
        structured_outputs=None if request.constraint is None else _structured_outputs(request.constraint),
        max_tokens=max_tokens,
        min_tokens=stops.min_tokens,
        output_kind=RequestOutputKind.DELTA if request.stream else RequestOutputKind.FINAL_ONLY,
        detokenize=not reads,
        skip_clone=reads,  # nothing of theirs is changed after they are sent
    )


def _structured_outputs(constraint: Constraint) -> StructuredOutputsParams:
    """A constraint as the engine takes it.

    vLLM's verification, which compiles it once more, would name the backend; it is left out, since
    `constraints` has verified it.
    """
    outputs = StructuredOutputsParams(grammar=constraint.grammar)
    outputs._backend = GRAMMAR_BACKEND
    return outputs
