"""What a client gets: completions, chunks, usage, errors. msgspec structs, since a chunk is encoded for every token.

Absent keys are left out rather than sent as null: OpenAI's schemas allow null in few places.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

FinishReason = Literal["stop", "length"]


class TopLogprob(Struct, frozen=True):
    """A candidate at one position."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(Struct, frozen=True):
    """The chosen token at one position and the most likely candidates."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(Struct, frozen=True):
    """Log-probabilities of an answer's tokens."""

    content: list[TokenLogprob]
    refusal: None = None


class PromptTokensDetails(Struct, frozen=True):
    """Where the prompt's tokens come from. `text_tokens` + `image_tokens` = `prompt_tokens`."""

    cached_tokens: int
    text_tokens: int
    image_tokens: int


class Usage(Struct, frozen=True):
    """Exact token counts of a request; `completion_tokens` sums over all choices."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class ResponseMessage(Struct, frozen=True):
    """An answer."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(Struct, frozen=True):
    """One of `n` answers."""

    index: int
    message: ResponseMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | None
    token_ids: list[int] | UnsetType = UNSET


class ChatCompletion(Struct, frozen=True):
    """The whole answer to a request that did not ask for a stream."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    object: Literal["chat.completion"] = "chat.completion"
    prompt_token_ids: list[int] | UnsetType = UNSET


class ChunkDelta(Struct, frozen=True):
    """What a chunk adds to its choice."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """One choice's part of a chunk."""

    index: int
    delta: ChunkDelta
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | UnsetType = UNSET
    token_ids: list[int] | UnsetType = UNSET


class ChatCompletionChunk(Struct, frozen=True):
    """One event of a streamed answer."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: Usage | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET


class ErrorBody(Struct, frozen=True):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(Struct, frozen=True):
    """OpenAI's envelope around it."""

    error: ErrorBody


class RequestLimits(Struct, frozen=True):
    """What one request may hold, by the names that errors use. Files in bytes, pictures in pixels as shown."""

    max_total_tokens: int
    max_body_bytes: int
    max_images: int
    max_image_bytes: int
    max_image_pixels: int
    max_image_aspect_ratio: float
    max_request_image_bytes: int
    max_request_image_pixels: int


class Capabilities(Struct, frozen=True):
    """What Open WebUI may ask for: pictures, and the usage of a stream. Else it would send tools of its own with every chat."""

    vision: bool = True
    usage: bool = True
    builtin_tools: bool = False


class ModelMeta(Struct, frozen=True):
    """Open WebUI's place for capabilities."""

    capabilities: Capabilities = Capabilities()


class ModelInfo(Struct, frozen=True):
    """Open WebUI's place for what it knows about a model."""

    meta: ModelMeta = ModelMeta()


class ModelCard(Struct, frozen=True):
    """A served model: OpenAI's keys, vLLM's `max_model_len` and what else a client must know."""

    id: str
    created: int
    max_model_len: int
    crop_budget: int
    input_modalities: list[str]
    limits: RequestLimits
    description: str
    object: Literal["model"] = "model"
    owned_by: str = "phiserve"
    info: ModelInfo = ModelInfo()


class ModelList(Struct, frozen=True):
    """All served models."""

    data: list[ModelCard]
    object: Literal["list"] = "list"


class TokenizedImage(Struct, frozen=True):
    """Where a picture stands in the prompt and what it costs. Sizes are [width, height] in pixels."""

    offset: int
    tokens: int
    crops: int
    size: list[int]
    padded_size: list[int]


class Tokenized(Struct, frozen=True):
    """The prompt as the model would see it; `count`, `max_model_len` and `tokens` as vLLM names them."""

    count: int
    max_model_len: int
    tokens: list[int]
    images: list[TokenizedImage]


encode_json = msgspec.json.Encoder().encode
"""Struct -> JSON bytes."""
