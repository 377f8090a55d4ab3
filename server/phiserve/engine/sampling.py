"""OpenAI's sampling parameters -> vLLM's."""

from typing import Any

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

from phiserve.chat.special_tokens import STOP_TOKEN_IDS
from phiserve.engine.forms import engine_regex, engine_schema
from phiserve.protocol.formats import JsonObjectFormat, JsonSchemaFormat
from phiserve.protocol.requests import ChatCompletionRequest

SEEDS = 2**62
"""vLLM adds a choice's index to its seed, in 64 bits, and takes -1 for none: every seed is folded into what is safe."""


class VerifiedParams(SamplingParams):
    """Parameters that vLLM has verified. It would do so again when they are sent, on the event loop, constraint and all."""

    def verify(self, *_: Any) -> None:
        """Nothing is left to verify."""


def engine_choices(request: ChatCompletionRequest) -> int:
    """Sequences the engine runs: greedy choices are all alike, so one is run (vLLM refuses more) and copied."""
    return 1 if _is_greedy(request) else request.num_choices


def sampling_params(request: ChatCompletionRequest, max_tokens: int) -> SamplingParams:
    """Build vLLM's parameters. Raises VLLMValidationError for what the protocol layer cannot know."""
    greedy = _is_greedy(request)
    stop_token_ids = set(request.stop_token_ids)
    if not request.ignore_eos:  # vLLM's flag covers its own eos only, not stop ids
        stop_token_ids.update(int(token_id) for token_id in STOP_TOKEN_IDS)
    return SamplingParams.from_optional(
        n=engine_choices(request),
        temperature=0.0 if greedy else request.temperature,
        top_p=1.0 if greedy else request.top_p,
        top_k=request.top_k if request.top_k is not None else 0,
        min_p=request.min_p if request.min_p is not None else 0.0,
        seed=None if request.seed is None else request.seed % SEEDS,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        repetition_penalty=request.repetition_penalty,
        logit_bias=request.logit_bias,
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        stop=list(request.stop),
        stop_token_ids=sorted(stop_token_ids),
        ignore_eos=request.ignore_eos,
        structured_outputs=_structured_outputs(request),
        max_tokens=max_tokens,
        min_tokens=request.min_tokens,
        output_kind=RequestOutputKind.DELTA if request.stream else RequestOutputKind.FINAL_ONLY,
    )


def _structured_outputs(request: ChatCompletionRequest) -> StructuredOutputsParams | None:
    match request.response_format:
        case JsonObjectFormat():
            return StructuredOutputsParams(json_object=True)
        case JsonSchemaFormat(json_schema=named):
            return StructuredOutputsParams(json=engine_schema(named.schema_))
    if (outputs := request.structured_outputs) is None:
        return None
    return StructuredOutputsParams(
        json=None if outputs.json_ is None else engine_schema(outputs.json_),
        regex=None if outputs.regex is None else engine_regex(outputs.regex),
        choice=None if outputs.choice is None else list(outputs.choice),
        grammar=outputs.grammar,
    )


def _is_greedy(request: ChatCompletionRequest) -> bool:
    """`top_p` 0, which OpenAI allows and vLLM does not, leaves only the best token too."""
    return request.temperature == 0 or request.top_p == 0
