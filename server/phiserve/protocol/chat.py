"""The body of `POST /v1/chat/completions` (and of `/tokenize`, which takes the same)."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from phiserve.protocol.compatibility import OPENAI_FIELDS, VLLM_FIELDS
from phiserve.protocol.messages import AssistantMessage, Message
from phiserve.protocol.refused import Refused, RefusedChatExtras, describer
from phiserve.protocol.sampling import MAX_WIRE_INTEGER, disagreement
from phiserve.protocol.tools import ToolFields
from phiserve.protocol.wire_model import bounded

MAX_MESSAGES = 10_000
"""A turn takes at least four tokens, so that no context of this model holds more."""


class ChatCompletionRequest(ToolFields, RefusedChatExtras):
    """A chat request.

    Beside the fields of its bases, those of OpenAI that are served, accepted without effect and refused.
    Defaults are OpenAI's. A field that is not here is an error, never ignored; `protocol.compatibility` says
    of each why.
    """

    model_config = ConfigDict(json_schema_extra=describer(OPENAI_FIELDS | VLLM_FIELDS))

    messages: Annotated[tuple[Message, ...], bounded(MAX_MESSAGES, least=1)]
    max_tokens: Annotated[int, Field(ge=1, le=MAX_WIRE_INTEGER)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_WIRE_INTEGER)] | None = None
    continue_final_message: bool | None = False
    add_generation_prompt: bool | None = None
    echo: bool | None = False
    logprobs: bool | None = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    metadata: Annotated[dict[str, str], Field(fail_fast=True)] | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    audio: Refused = None
    modalities: Refused = None
    moderation: Refused = None
    prediction: Refused = None
    prompt_cache_options: Refused = None
    prompt_cache_retention: Refused = None
    web_search_options: Refused = None

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        self.check_agreement()
        if self.top_logprobs and not self.logprobs:
            raise disagreement("top_logprobs", "needs logprobs to be true")
        if (
            None not in (self.max_tokens, self.max_completion_tokens)
            and self.max_tokens != self.max_completion_tokens
        ):
            raise disagreement("max_tokens", "differs from max_completion_tokens; send one of them")
        self._check_continuation()
        return self

    def _check_continuation(self) -> None:
        """Raises PydanticCustomError where the answer cannot go on with, or begin with, the last message."""
        if self.continue_final_message:
            last = self.messages[-1]
            if self.add_generation_prompt:
                raise disagreement("add_generation_prompt", "may not be true beside continue_final_message")
            if not isinstance(last, AssistantMessage) or last.tool_calls or last.function_call:
                reason = "needs a last message with the role assistant and without calls, to go on with"
                raise disagreement("continue_final_message", reason)
        elif self.add_generation_prompt is False:
            reason = "may be false only beside continue_final_message; otherwise an answer is the next turn"
            raise disagreement("add_generation_prompt", reason)
        for name in ("continue_final_message", "echo"):
            if getattr(self, name) and self.tool_use is not None:
                reason = "is not supported beside functions that may be called; send tool_choice 'none'"
                raise disagreement(name, reason)
        if self.echo and self.logprobs:
            raise disagreement("echo", "is not supported beside logprobs, which are of the answer alone")

    @property
    def output_limit(self) -> int | None:
        """Most tokens of the answer, under either name; None when the request leaves it open."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def is_batch(self) -> bool:
        """Whether nobody waits for the answer: OpenAI's slow tier, or a priority behind vLLM's usual one."""
        return super().is_batch or self.service_tier == "flex"
