"""The body of `POST /v1/completions`: prompts without a conversation's form."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Self, cast

from pydantic import ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from phiserve.chat.joining import checked_text
from phiserve.chat.special_tokens import ADDED_TOKENS, ORDINARY_TOKENS, Control
from phiserve.core import GenerationRequest, RawPrompt
from phiserve.errors import InvalidRequest
from phiserve.protocol.compatibility import COMPLETIONS_FIELDS
from phiserve.protocol.refused import Refused, RefusedExtras, describer
from phiserve.protocol.sampling import MAX_WIRE_INTEGER, SamplingFields, disagreement

MAX_PROMPTS = 64
"""Prompts of one request."""

DEFAULT_MAX_TOKENS = 16
"""OpenAI's, where the request does not say how long an answer may be."""

_Text = Annotated[str, Field(min_length=1)]
_Ids = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
_JsonPrompts = (
    _Text
    | Annotated[list[_Text], Field(min_length=1, max_length=MAX_PROMPTS)]
    | _Ids
    | Annotated[list[_Ids], Field(min_length=1, max_length=MAX_PROMPTS)]
)


def _prompts(given: object) -> tuple[RawPrompt, ...]:
    """All prompts, whichever of its four forms the field has.

    One text, one list of ids, or a list of either. Raises PydanticCustomError with the path below the field.
    """
    if isinstance(given, str):
        return (_prompt(given, ""),)
    if not isinstance(given, list | tuple):
        raise _wrong_type("must be a text, token ids, or a list of either", "")
    if not given:
        raise _empty("")
    if _is_id(given[0]):
        return (_prompt(given, ""),)
    if len(given) > MAX_PROMPTS:
        reason = f"{len(given)} prompts; a request has at most {MAX_PROMPTS}"
        raise PydanticCustomError("too_many_prompts", "{text}", {"text": reason})
    prompts = tuple(_prompt(prompt, f"[{index}]") for index, prompt in enumerate(given))
    kinds = [type(prompt.content) for prompt in prompts]
    if len({*kinds}) > 1:
        other = next(index for index, kind in enumerate(kinds) if kind is not kinds[0])
        raise _wrong_type("texts and token ids may not be mixed", f"[{other}]")
    return prompts


def _prompt(given: object, path: str) -> RawPrompt:
    if not isinstance(given, str | list | tuple):
        raise _wrong_type("must be a text or token ids", path)
    if not given:
        raise _empty(path)
    if isinstance(given, str):
        return RawPrompt(given, f"prompt{path}")
    wrong = next((index for index, token_id in enumerate(given) if not _is_id(token_id)), None)
    if wrong is not None:
        raise _wrong_type("must be a token id", f"{path}[{wrong}]")
    return RawPrompt(tuple(cast("Sequence[int]", given)), f"prompt{path}")


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong_type(reason: str, path: str) -> PydanticCustomError:
    return PydanticCustomError("prompt_type", "{text}", {"text": reason, "path": path})


def _empty(path: str) -> PydanticCustomError:
    return PydanticCustomError(
        "empty_prompt", "the prompt is empty; an answer needs one to go on from", {"path": path}
    )


class CompletionRequest(SamplingFields, RefusedExtras):
    """A request that completes prompts.

    Beside the fields of its bases, those that no other request has. Defaults are OpenAI's. A field that is
    not here is an error, never ignored; `protocol.compatibility` says of each why.
    """

    model_config = ConfigDict(json_schema_extra=describer(COMPLETIONS_FIELDS))

    long_field: ClassVar[str] = "prompt"

    prompt: Annotated[tuple[RawPrompt, ...], PlainValidator(_prompts, json_schema_input_type=_JsonPrompts)]
    max_tokens: Annotated[int, Field(ge=1, le=MAX_WIRE_INTEGER)] | None = DEFAULT_MAX_TOKENS
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    echo: bool | None = False
    add_special_tokens: bool | None = True

    suffix: Refused = None
    prompt_embeds: Refused = None

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        self.check_agreement()
        if self.best_of not in (None, self.num_choices):
            reason = "this parameter is not supported: every choice is returned (n), none is looked for"
            raise PydanticCustomError("unsupported", "{text}", {"text": reason, "field": "best_of"})
        if self.echo and self.logprobs is not None:
            raise disagreement("echo", "is not supported beside logprobs, which are of the answer alone")
        return self

    @property
    def output_limit(self) -> int:
        """Most tokens of each answer."""
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens


def to_generation_requests(
    wire: CompletionRequest,
    answer_id: str,
    *,
    allow_control_ids: bool,
    tenant: str | None = None,
    cache_salt: str | None = None,
    deadline_s: float | None = None,
) -> list[GenerationRequest]:
    """One inner request for each prompt. Their answers, one after the other, are those to the wire's request.

    `allow_control_ids`: whether token ids may be those of control tokens. The rest is as in
    `protocol.translation`. Raises InvalidRequest for text that is not Unicode (lone surrogates) and for ids
    that no prompt may hold.
    """
    for prompt in wire.prompt:
        _check(prompt, allow_control_ids)
    with_bos = wire.add_special_tokens is not False
    return [
        GenerationRequest(
            id=f"{answer_id}-{index}",
            conversation=replace(prompt, with_bos=with_bos),
            sampling=wire.sampling,
            stops=wire.stops,
            constraint=wire.constraint,
            top_logprobs=wire.logprobs,
            num_choices=wire.num_choices,
            stream=bool(wire.stream),
            echo=bool(wire.echo),
            priority=1 if wire.is_batch else 0,
            tenant=tenant,
            cache_salt=cache_salt,
            deadline_s=deadline_s,
        )
        for index, prompt in enumerate(wire.prompt)
    ]


def _check(prompt: RawPrompt, allow_control_ids: bool) -> None:
    content = prompt.content
    if isinstance(content, str):
        checked_text(content, prompt.param)
    elif min(content) < 0 or max(content) >= ORDINARY_TOKENS:
        for index, token_id in enumerate(content):
            if reason := _why_not(token_id, allow_control_ids):
                raise InvalidRequest(reason, param=f"{prompt.param}[{index}]")


def _why_not(token_id: int, allow_control_ids: bool) -> str | None:
    """Why an id may not stand in a prompt, if it may not.

    Below the ordinary ones are `<unk>`, `<s>` and `</s>`, which tokenizers write into their ids.
    """
    if 0 <= token_id < ORDINARY_TOKENS:
        return None
    if token_id not in ADDED_TOKENS:
        return "the vocabulary has no token with this id"
    if token_id == Control.IMAGE:
        return "this id stands for a part of an image, and images are shown in chat messages only"
    return None if allow_control_ids else "this is a control token's id (see allow_control_token_ids)"
