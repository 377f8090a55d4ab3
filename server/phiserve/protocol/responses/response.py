"""What a Responses request is answered with, whole: the response object and its parts.

msgspec structs, as OpenAI's specification and the openai client's types have them: absent keys are left out,
null stands where those allow it.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from phiserve.core import TokenCounts, TokenLogprob

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

ErrorCode = Literal["server_error", "rate_limit_exceeded", "invalid_prompt", "invalid_image"]
"""OpenAI's words for why a response failed, as far as they are used here."""


class InputTokensDetails(Struct, frozen=True):
    """Where the prompt's tokens come from. Writing to the cache costs nothing and is not counted."""

    cached_tokens: int
    cache_write_tokens: Literal[0] = 0


class OutputTokensDetails(Struct, frozen=True):
    """The model does not reason apart from its answer."""

    reasoning_tokens: Literal[0] = 0


class ResponseUsage(Struct, frozen=True):
    """Exact token counts of a request; an image's tokens are input tokens."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    total_tokens: int
    output_tokens_details: OutputTokensDetails = OutputTokensDetails()

    @classmethod
    def of(cls, counts: TokenCounts) -> "ResponseUsage":
        """OpenAI's keys for these counts."""
        details = InputTokensDetails(counts.cached)
        return cls(counts.prompt, details, counts.completion, counts.prompt + counts.completion)


class OutputText(Struct, frozen=True):
    """The text of an answer. Without log-probabilities, `logprobs` is empty."""

    text: str
    logprobs: list[TokenLogprob]
    type: Literal["output_text"] = "output_text"
    annotations: tuple[()] = ()


class OutputMessage(Struct, frozen=True, tag_field="type", tag="message"):
    """An answer: no part while it begins, later one."""

    id: str
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[OutputText]
    role: Literal["assistant"] = "assistant"


class OutputCall(Struct, frozen=True, tag_field="type", tag="function_call"):
    """A call of a tool: the client finds the function by its name, and sends the result back by `call_id`.

    `arguments` is JSON text, empty while the call begins.
    """

    id: str
    call_id: str
    name: str
    arguments: str
    status: Literal["in_progress", "completed", "incomplete"]


OutputItem = OutputMessage | OutputCall


class IncompleteDetails(Struct, frozen=True):
    """Why an answer ended too soon: at `max_output_tokens`, or where the context ends."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseFailure(Struct, frozen=True):
    """Why a response failed."""

    code: ErrorCode
    message: str


class ReasoningSettings(Struct, frozen=True):
    """What holds, whatever was asked: no reasoning apart from the answer."""

    effort: None = None
    summary: None = None


class TextSettings(Struct, frozen=True):
    """The format as it was asked for, and the only verbosity that the model has."""

    format: dict[str, Any]  # what msgspec calls a value of any kind in its schemas
    verbosity: Literal["medium"] = "medium"


class InputTokens(Struct, frozen=True):
    """How many tokens a request's prompt has, images included."""

    input_tokens: int
    object: Literal["response.input_tokens"] = "response.input_tokens"


class FunctionToolObject(Struct, frozen=True):
    """A tool as it was given."""

    name: str
    parameters: dict[str, Any] | None
    strict: bool = True
    type: Literal["function"] = "function"
    description: str | UnsetType = UNSET


class ConversationOfResponse(Struct, frozen=True):
    """The conversation that a response belongs to."""

    id: str


class ResponseDeleted(Struct, frozen=True):
    """A response that is no longer stored."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ResponseObject(Struct, frozen=True, kw_only=True):
    """A response: what was asked for, what holds, and the answer as far as there is one.

    Times are in seconds since 1970. Before the answer has ended there is no `usage`, and `completed_at` is
    null.
    """

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status = "in_progress"
    background: bool = False
    completed_at: int | None = None
    conversation: ConversationOfResponse | None = None
    error: ResponseFailure | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem] = []
    parallel_tool_calls: bool
    previous_response_id: str | None = None
    prompt_cache_key: str | None
    reasoning: ReasoningSettings = ReasoningSettings()
    safety_identifier: str | None
    service_tier: Literal["default", "flex"]
    temperature: float
    text: TextSettings
    tool_choice: str | dict[str, Any]
    tools: list[FunctionToolObject]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"] = "disabled"
    usage: ResponseUsage | UnsetType = UNSET
    user: str | UnsetType = UNSET
