"""The body of `POST /v1/chat/completions` (and of `/tokenize`, which takes the same)."""

import re
from typing import Annotated, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from phiserve.constraints.constraint import Constraint
from phiserve.errors import shortened
from phiserve.protocol.compatibility import OPENAI_FIELDS
from phiserve.protocol.formats import ResponseFormat, StructuredOutputs
from phiserve.protocol.messages import Message, WireModel, bounded

MAX_STOP_STRINGS = 4
"""OpenAI's limit."""

MAX_STOP_TOKEN_IDS = 128

MAX_MESSAGES = 10_000
"""A turn takes at least four tokens, so that no context of this model holds more."""

MAX_WIRE_INTEGER = 2**31 - 1
"""Integers beyond this do not reach the engine's process whole."""

_TOKEN_ID = re.compile(r"[0-9]{1,10}")

_StopString = Annotated[str, Field(min_length=1)]
_StopStrings = Annotated[tuple[_StopString, ...], bounded(MAX_STOP_STRINGS)]


def _stop_strings(stop: object) -> object:
    """One string stands for a list of one, null for none."""
    if stop is None:
        return ()
    return [stop] if isinstance(stop, str) else stop


def _asks_for_nothing(value: object, info: ValidationInfo) -> None:
    """Accepts only values that ask for nothing, as None. Raises PydanticCustomError for any other."""
    field = OPENAI_FIELDS[info.field_name or ""]
    if value is not None and value not in field.allowed:
        raise PydanticCustomError(
            "unsupported", "{text}", {"text": f"this parameter is not supported: {field.note}"}
        )


Refused = Annotated[object, AfterValidator(_asks_for_nothing)]
"""A field that the compatibility table refuses."""


def _describe_refused(schema: JsonDict) -> None:
    """Says in the JSON schema which values of a refused field pass."""
    properties = cast("JsonDict", schema["properties"])
    for name, field in OPENAI_FIELDS.items():
        if field.support == "refused":
            properties[name] = {
                "enum": [None, *field.allowed],
                "description": f"Not supported: {field.note}",
            }


class StreamOptions(WireModel):
    """Options of a streamed answer. Nothing is obfuscated here, which a client may ask for."""

    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class ChatCompletionRequest(WireModel):
    """A chat request.

    OpenAI's fields that are served, accepted without effect and refused, then vLLM's extras that are served.
    Defaults are OpenAI's. A field that is not here is an error, never ignored; `protocol.compatibility` says
    of each why.
    """

    model_config = ConfigDict(json_schema_extra=_describe_refused)

    model: str
    messages: Annotated[tuple[Message, ...], bounded(MAX_MESSAGES, least=1)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=MAX_WIRE_INTEGER)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_WIRE_INTEGER)] | None = None
    temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] | None = 1.0
    top_p: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = 1.0
    n: Annotated[int, Field(ge=1, le=128)] | None = 1
    stop: Annotated[
        _StopStrings, BeforeValidator(_stop_strings, json_schema_input_type=_StopString | _StopStrings | None)
    ] = ()
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    frequency_penalty: Annotated[FiniteFloat, Field(ge=-2, le=2)] | None = 0.0
    presence_penalty: Annotated[FiniteFloat, Field(ge=-2, le=2)] | None = 0.0
    logit_bias: (
        Annotated[dict[str, Annotated[FiniteFloat, Field(ge=-100, le=100)]], Field(fail_fast=True)] | None
    ) = None
    logprobs: bool | None = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    response_format: ResponseFormat | None = None

    metadata: Annotated[dict[str, str], Field(fail_fast=True)] | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    user: str | None = None

    audio: Refused = None
    function_call: Refused = None
    functions: Refused = None
    modalities: Refused = None
    moderation: Refused = None
    prediction: Refused = None
    prompt_cache_options: Refused = None
    prompt_cache_retention: Refused = None
    reasoning_effort: Refused = None
    tool_choice: Refused = None
    tools: Refused = None
    verbosity: Refused = None
    web_search_options: Refused = None

    top_k: Annotated[int, Field(ge=-1, le=MAX_WIRE_INTEGER)] | None = None
    min_p: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[FiniteFloat, Field(gt=0, le=1e6)] | None = None
    ignore_eos: bool = False
    min_tokens: Annotated[int, Field(ge=0, le=MAX_WIRE_INTEGER)] = 0
    stop_token_ids: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MAX_WIRE_INTEGER)], ...], bounded(MAX_STOP_TOKEN_IDS)
    ] = ()
    structured_outputs: StructuredOutputs | None = None
    return_token_ids: bool = False
    priority: Annotated[int, Field(ge=0, le=MAX_WIRE_INTEGER)] | None = None

    @field_validator("logit_bias")
    @classmethod
    def _logit_bias_keys_are_ids(cls, bias: dict[str, float] | None) -> dict[str, float] | None:
        wrong = [key for key in bias or () if not _TOKEN_ID.fullmatch(key)]
        if wrong:
            keys = shortened(", ".join(repr(shortened(key)) for key in wrong[:5]))
            raise PydanticCustomError("token_id", "keys must be token ids, got {keys}", {"keys": keys})
        return bias

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise _disagreement("stream_options", "is only allowed when stream is true")
        if self.top_logprobs is not None and not self.logprobs:
            raise _disagreement("top_logprobs", "needs logprobs to be true")
        if (
            None not in (self.max_tokens, self.max_completion_tokens)
            and self.max_tokens != self.max_completion_tokens
        ):
            raise _disagreement("max_tokens", "differs from max_completion_tokens; send one of them")
        if self.response_format is not None and self.structured_outputs is not None:
            raise _disagreement("structured_outputs", "may not be given beside response_format")
        if self.output_limit is not None and self.min_tokens > self.output_limit:
            raise _disagreement("min_tokens", f"is larger than max_tokens ({self.output_limit})")
        return self

    @property
    def output_limit(self) -> int | None:
        """Most tokens of the answer, under either name; None when the request leaves it open."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def constraint(self) -> Constraint | None:
        """What the answer must look like, under either name."""
        if self.structured_outputs is not None:
            return self.structured_outputs.constraint
        return None if self.response_format is None else self.response_format.constraint

    @property
    def is_batch(self) -> bool:
        """Whether nobody waits for the answer: OpenAI's slow tier, or a priority behind vLLM's usual one."""
        return bool(self.priority) or self.service_tier == "flex"

    @property
    def num_choices(self) -> int:
        """Answers asked for."""
        return 1 if self.n is None else self.n

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


def _disagreement(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("disagreement", "{text}", {"text": message, "field": field})
