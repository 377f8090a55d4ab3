"""What a chat request is answered with: a completion, or chunks.

msgspec structs, since a chunk is encoded for every token. Absent keys are left out rather than sent as null:
OpenAI's schemas allow null in few places.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from phiserve.core import FinishReason, TokenCounts, TokenLogprob

WireFinishReason = FinishReason | Literal["tool_calls", "function_call"]
"""Why a choice ended: as the inner request has it, or with calls, under the name that they were asked by."""


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

    @classmethod
    def of(cls, counts: TokenCounts) -> "Usage":
        """OpenAI's keys for these counts."""
        details = PromptTokensDetails(counts.cached, counts.prompt - counts.image, counts.image)
        return cls(counts.prompt, counts.completion, counts.prompt + counts.completion, details)


class CalledFunction(Struct, frozen=True):
    """A function that the answer calls; `arguments` is JSON text, cut where the answer was cut."""

    name: str
    arguments: str


class MessageToolCall(Struct, frozen=True):
    """One of an answer's calls."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class ResponseMessage(Struct, frozen=True):
    """An answer: text, or calls and no content."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    refusal: None = None
    tool_calls: list[MessageToolCall] | UnsetType = UNSET
    function_call: CalledFunction | UnsetType = UNSET


class Choice(Struct, frozen=True):
    """One of `n` answers."""

    index: int
    message: ResponseMessage
    finish_reason: WireFinishReason
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


class FunctionChunk(Struct, frozen=True):
    """What a chunk adds to a called function: its name, once, or more of its arguments."""

    arguments: str
    name: str | UnsetType = UNSET


class ToolCallChunk(Struct, frozen=True):
    """What a chunk adds to the call number `index`; only its first part has an id."""

    index: int
    function: FunctionChunk
    id: str | UnsetType = UNSET
    type: Literal["function"] | UnsetType = UNSET


class ChunkDelta(Struct, frozen=True):
    """What a chunk adds to its choice."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    tool_calls: list[ToolCallChunk] | UnsetType = UNSET
    function_call: FunctionChunk | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True):
    """One choice's part of a chunk."""

    index: int
    delta: ChunkDelta
    finish_reason: WireFinishReason | None = None
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
