"""The fields that requests of more than one route have: how tokens are chosen, when an answer ends, its form.

What they say of the inner request is here too, so that a field means the same on every route.
"""

import json
import re
from typing import Annotated, TypeVar

from blake3 import blake3
from pydantic import BeforeValidator, ConfigDict, Field, FiniteFloat, field_validator
from pydantic_core import PydanticCustomError

from phiserve.constraints.constraint import Constraint
from phiserve.core import SamplingOptions, StopConditions
from phiserve.errors import shortened
from phiserve.protocol.compatibility import STREAM_OPTIONS_FIELDS
from phiserve.protocol.formats import ResponseFormat, StructuredOutputs
from phiserve.protocol.refused import describer, refuser
from phiserve.protocol.wire_model import RequestPart, bounded

MAX_STOP_STRINGS = 4
"""OpenAI's limit."""

MAX_STOP_TOKEN_IDS = 128

MAX_WIRE_INTEGER = 2**31 - 1
"""Integers beyond this do not reach the engine's process whole."""

MAX_ALLOWED_TOKEN_IDS = 32_064
"""Every id of the model's."""

MAX_BAD_WORDS = 64
"""vLLM takes 128, and makes up to two of each: with and without a space before it."""

_TOKEN_ID = re.compile(r"[0-9]{1,10}")

_TokenId = Annotated[int, Field(ge=0, le=MAX_WIRE_INTEGER)]
_BadWord = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]
_StopString = Annotated[str, Field(min_length=1)]
_StopStrings = Annotated[tuple[_StopString, ...], bounded(MAX_STOP_STRINGS)]
_Value = TypeVar("_Value")


def _stop_strings(stop: object) -> object:
    """One string stands for a list of one, null for none."""
    if stop is None:
        return ()
    return [stop] if isinstance(stop, str) else stop


def _false_if_null(value: object) -> object:
    return False if value is None else value


class StreamOptions(RequestPart):
    """Options of a streamed answer. Nothing is obfuscated here, which a client may ask for.

    `continuous_usage_stats` is vLLM's: beside `include_usage`, every chunk has the counts so far.
    """

    model_config = ConfigDict(json_schema_extra=describer(STREAM_OPTIONS_FIELDS))

    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False
    include_obfuscation: Annotated[object, refuser(STREAM_OPTIONS_FIELDS)] = None


class EngineFields(RequestPart):
    """Base of all requests for answers: how tokens are chosen and when an answer ends."""

    temperature: Annotated[FiniteFloat, Field(ge=0, le=2)] | None = 1.0
    top_p: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = 1.0
    stop: Annotated[
        _StopStrings, BeforeValidator(_stop_strings, json_schema_input_type=_StopString | _StopStrings | None)
    ] = ()
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    frequency_penalty: Annotated[FiniteFloat, Field(ge=-2, le=2)] | None = 0.0
    presence_penalty: Annotated[FiniteFloat, Field(ge=-2, le=2)] | None = 0.0
    logit_bias: (
        Annotated[dict[str, Annotated[FiniteFloat, Field(ge=-100, le=100)]], Field(fail_fast=True)] | None
    ) = None
    top_k: Annotated[int, Field(ge=-1, le=MAX_WIRE_INTEGER)] | None = None
    min_p: Annotated[FiniteFloat, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[FiniteFloat, Field(gt=0, le=1e6)] | None = None
    ignore_eos: bool | None = False
    min_tokens: Annotated[int, Field(ge=0, le=MAX_WIRE_INTEGER)] | None = 0
    stop_token_ids: Annotated[tuple[_TokenId, ...], bounded(MAX_STOP_TOKEN_IDS)] | None = ()
    allowed_token_ids: Annotated[tuple[_TokenId, ...], bounded(MAX_ALLOWED_TOKEN_IDS, least=1)] | None = None
    bad_words: Annotated[tuple[_BadWord, ...], bounded(MAX_BAD_WORDS)] | None = ()
    structured_outputs: StructuredOutputs | None = None
    priority: Annotated[int, Field(ge=-MAX_WIRE_INTEGER, le=MAX_WIRE_INTEGER)] | None = None
    cache_salt: Annotated[str, Field(min_length=1, max_length=1024)] | None = None

    @field_validator("logit_bias")
    @classmethod
    def _logit_bias_keys_are_ids(cls, bias: dict[str, float] | None) -> dict[str, float] | None:
        wrong = [key for key in bias or () if not _TOKEN_ID.fullmatch(key)]
        if wrong:
            keys = shortened(", ".join(repr(shortened(key)) for key in wrong[:5]))
            raise PydanticCustomError("token_id", "keys must be token ids, got {keys}", {"keys": keys})
        return bias

    @property
    def output_limit(self) -> int | None:
        """Most tokens of an answer; None when the request leaves it open."""
        raise NotImplementedError

    @property
    def constraint(self) -> Constraint | None:
        """What the answer must look like."""
        raise NotImplementedError

    @property
    def is_batch(self) -> bool:
        """Whether nobody waits for the answer: a priority behind vLLM's usual one, which is the highest."""
        return self.priority is not None and self.priority > 0

    @property
    def sampling(self) -> SamplingOptions:
        """The sampling fields that the request states; null, like an absent field, leaves the default."""
        return SamplingOptions(
            temperature=_or_default(self.temperature, 1.0),
            top_p=_or_default(self.top_p, 1.0),
            top_k=_or_default(self.top_k, 0),
            min_p=_or_default(self.min_p, 0.0),
            seed=self.seed,
            frequency_penalty=_or_default(self.frequency_penalty, 0.0),
            presence_penalty=_or_default(self.presence_penalty, 0.0),
            repetition_penalty=_or_default(self.repetition_penalty, 1.0),
            logit_bias={int(token_id): value for token_id, value in (self.logit_bias or {}).items()},
            allowed_token_ids=self.allowed_token_ids,
            bad_words=self.bad_words or (),
        )

    @property
    def stops(self) -> StopConditions:
        """When an answer ends."""
        return StopConditions(
            self.output_limit,
            self.min_tokens or 0,
            self.stop,
            self.stop_token_ids or (),
            bool(self.ignore_eos),
        )

    def salt(self, owner_salt: str | None) -> str | None:
        """What separates the request's cached prompts from others': its own salt within its owner's."""
        if self.cache_salt is None:
            return owner_salt
        return blake3(json.dumps([owner_salt, self.cache_salt]).encode()).hexdigest()

    def check_engine_fields(self, limit_name: str = "max_tokens") -> None:
        """Raises PydanticCustomError, which names a field, where one of these contradicts another."""
        for name in ("allowed_token_ids", "bad_words"):
            if getattr(self, name) and self.constraint is not None:
                reason = "is not supported beside a form of the answer: together they might leave no token"
                raise disagreement(name, reason)
        if self.output_limit is not None and (self.min_tokens or 0) > self.output_limit:
            raise disagreement("min_tokens", f"is larger than {limit_name} ({self.output_limit})")


class SamplingFields(EngineFields):
    """Base of requests for choices: OpenAI's fields, then vLLM's extras. Defaults are OpenAI's."""

    model: str | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = 1
    user: str | None = None

    response_format: ResponseFormat | None = None

    return_token_ids: Annotated[bool, BeforeValidator(_false_if_null, json_schema_input_type=bool | None)] = (
        False
    )

    @property
    def constraint(self) -> Constraint | None:
        """What the answer must look like, under either name."""
        if self.structured_outputs is not None:
            return self.structured_outputs.constraint
        return None if self.response_format is None else self.response_format.constraint

    @property
    def num_choices(self) -> int:
        """Answers asked for."""
        return 1 if self.n is None else self.n

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def continuous_usage(self) -> bool:
        """Whether every chunk of a stream has the counts so far."""
        return self.include_usage and bool(self.stream_options and self.stream_options.continuous_usage_stats)

    def check_agreement(self) -> None:
        """Raises PydanticCustomError, which names a field, where one contradicts another."""
        if self.stream_options is not None and not self.stream:
            raise disagreement("stream_options", "is only allowed when stream is true")
        if self.response_format is not None and self.structured_outputs is not None:
            raise disagreement("structured_outputs", "may not be given beside response_format")
        self.check_engine_fields()


def disagreement(field: str, message: str) -> PydanticCustomError:
    """The error of a field that contradicts another."""
    return PydanticCustomError("disagreement", "{text}", {"text": message, "field": field})


def _or_default(stated: _Value | None, default: _Value) -> _Value:
    return default if stated is None else stated
