"""Fields that are known and not served: what may be sent of each, and why no more."""

from collections.abc import Callable, Mapping
from typing import Annotated, cast

from pydantic import AfterValidator, ValidationInfo
from pydantic.config import JsonDict, JsonValue
from pydantic_core import PydanticCustomError

from phiserve.protocol.compatibility import COMPLETIONS_FIELDS, OPENAI_FIELDS, VLLM_FIELDS, Field
from phiserve.protocol.wire_model import NULL_ALONE, RequestPart


def asks_for_nothing(field: Field, value: object) -> bool:
    """Whether a value of a refused field is null, or one of those that it allows."""
    return value is None or any(_is_same(value, allowed) for allowed in field.allowed)


def _is_same(value: object, allowed: JsonValue) -> bool:
    """Equal in JSON, where true is not 1."""
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)


def refuser(fields: Mapping[str, Field]) -> AfterValidator:
    """Checks a field that a table refuses: only values that ask for nothing pass, as None.

    It raises PydanticCustomError for any other.
    """

    def refuse(value: object, info: ValidationInfo) -> None:
        field = fields[(info.field_name or "").removesuffix("_")]
        if not asks_for_nothing(field, value):
            text = f"this parameter is not supported: {field.note}"
            raise PydanticCustomError("unsupported", "{text}", {"text": text})

    return AfterValidator(refuse)


Refused = Annotated[object, refuser(COMPLETIONS_FIELDS | OPENAI_FIELDS | VLLM_FIELDS)]
"""A field that the tables of chat and completions refuse."""


def describer(fields: Mapping[str, Field], unknown: JsonValue = NULL_ALONE) -> Callable[[JsonDict], None]:
    """Says in the JSON schema of an object which values of its refused fields pass, and of `unknown` ones."""

    def describe(schema: JsonDict) -> None:
        properties = cast("JsonDict", schema["properties"])
        schema["additionalProperties"] = unknown
        for name, field in fields.items():
            if field.support == "refused" and name in properties:
                properties[name] = {
                    "enum": [None, *field.allowed],
                    "description": f"Not supported: {field.note}",
                }

    return describe


class RefusedExtras(RequestPart):
    """Fields of all of vLLM's requests that have no meaning here, or would need much to have one."""

    ec_transfer_params: Refused = None
    include_stop_str_in_output: Refused = None
    kv_transfer_params: Refused = None
    length_penalty: Refused = None
    logprob_token_ids: Refused = None
    mm_payload: Refused = None
    prompt_logprobs: Refused = None
    repetition_detection: Refused = None
    request_id: Refused = None
    return_mm_kwargs: Refused = None
    return_token_offsets: Refused = None
    return_tokens_as_token_ids: Refused = None
    routed_experts_prompt_start: Refused = None
    session_id: Refused = None
    skip_special_tokens: Refused = None
    spaces_between_special_tokens: Refused = None
    stream_interval: Refused = None
    thinking_token_budget: Refused = None
    truncate_prompt_tokens: Refused = None
    truncation_side: Refused = None
    use_beam_search: Refused = None
    vllm_xargs: Refused = None
    watermarking: Refused = None


class RefusedChatExtras(RefusedExtras):
    """And those that its chat request alone has."""

    add_special_tokens: Refused = None
    chat_template: Refused = None
    chat_template_kwargs: Refused = None
    documents: Refused = None
    include_reasoning: Refused = None
    media_io_kwargs: Refused = None
    mm_processor_kwargs: Refused = None
    return_prompt_text: Refused = None
