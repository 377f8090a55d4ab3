"""The body of `POST /v1/responses`."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from phiserve.constraints.constraint import Constraint
from phiserve.protocol.compatibility import STREAM_OPTIONS_FIELDS
from phiserve.protocol.refused import describer, refuser
from phiserve.protocol.responses.compatibility import ALL_RESPONSES_FIELDS
from phiserve.protocol.responses.items import Item
from phiserve.protocol.responses.tools import ToolFields
from phiserve.protocol.sampling import MAX_WIRE_INTEGER, EngineFields, disagreement
from phiserve.protocol.wire_model import RequestPart, bounded

MAX_ITEMS = 10_000
"""A turn takes at least four tokens, so that no context of this model holds more."""

MAX_INCLUDES = 20

LOGPROBS = "message.output_text.logprobs"

Includable = Literal[
    "message.output_text.logprobs",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
]
"""What `include` may name. All but the first are parts of what never stands in a response of this server."""


Refused = Annotated[object, refuser(ALL_RESPONSES_FIELDS)]
"""A field that the compatibility tables refuse."""


def _input_tag(given: object) -> str:
    return ":items" if isinstance(given, list | tuple) else ":string"


class ResponsesStreamOptions(RequestPart):
    """Options of a streamed answer. Nothing is obfuscated here, which a client may ask for."""

    model_config = ConfigDict(json_schema_extra=describer(STREAM_OPTIONS_FIELDS))

    include_obfuscation: Annotated[object, refuser(STREAM_OPTIONS_FIELDS)] = None


class Reasoning(RequestPart):
    """How much to reason before the answer: the model does not, so that none of it has an effect."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None


class ConversationId(RequestPart):
    """A conversation, by its id."""

    id: str


def _by_its_id(given: object) -> object:
    """OpenAI takes the id alone as well."""
    return {"id": given} if isinstance(given, str) else given


ConversationField = Annotated[
    ConversationId | None, BeforeValidator(_by_its_id, json_schema_input_type=str | ConversationId | None)
]


class ResponsesRequest(ToolFields, EngineFields):
    """A Responses request.

    Beside the fields of its bases, those of OpenAI that are served, accepted without effect and refused, and
    those of vLLM that are refused;
    defaults are OpenAI's. A field that is not here is an error, never ignored;
    `protocol.responses.compatibility` says of each why.
    """

    model_config = ConfigDict(json_schema_extra=describer(ALL_RESPONSES_FIELDS), hide_input_in_errors=True)

    model: str | None = None
    input: (
        Annotated[
            Annotated[str, Tag(":string")]
            | Annotated[tuple[Item, ...], Tag(":items"), bounded(MAX_ITEMS, least=1)],
            Discriminator(_input_tag),
        ]
        | None
    ) = None
    previous_response_id: str | None = None
    conversation: ConversationField = None
    store: bool | None = None
    background: bool | None = None
    instructions: str | None = None
    stream: bool | None = False
    stream_options: ResponsesStreamOptions | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=MAX_WIRE_INTEGER)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: Annotated[tuple[Includable, ...], bounded(MAX_INCLUDES)] | None = None
    service_tier: str | None = None
    truncation: Literal["auto", "disabled"] | None = None

    max_tool_calls: Annotated[int, Field(ge=0, le=MAX_WIRE_INTEGER)] | None = None
    metadata: Annotated[dict[str, str], Field(fail_fast=True)] | None = None
    prompt_cache_key: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    user: str | None = None

    context_management: Refused = None
    moderation: Refused = None
    prompt: Refused = None
    prompt_cache_options: Refused = None
    prompt_cache_retention: Refused = None

    chat_template_kwargs: Refused = None
    ec_transfer_params: Refused = None
    enable_response_messages: Refused = None
    include_reasoning: Refused = None
    include_stop_str_in_output: Refused = None
    kv_transfer_params: Refused = None
    media_io_kwargs: Refused = None
    mm_payload: Refused = None
    mm_processor_kwargs: Refused = None
    previous_input_messages: Refused = None
    request_id: Refused = None
    return_mm_kwargs: Refused = None
    session_id: Refused = None
    skip_special_tokens: Refused = None
    vllm_xargs: Refused = None
    watermarking: Refused = None

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise disagreement("stream_options", "is only allowed when stream is true")
        if self.previous_response_id is not None and self.conversation is not None:
            reason = "cannot be sent together with conversation, which has the responses before this one"
            raise disagreement("previous_response_id", reason)
        if self.background and self.store is False:
            raise disagreement("background", "needs store: the answer is fetched from where it is stored")
        if self.input is None and self.previous_response_id is None and self.conversation is None:
            raise PydanticCustomError("missing", "this field is required", {"field": "input"})
        if self.structured_outputs is not None and self.tool_use is not None:
            reason = "may not be given beside functions that may be called; use text.format"
            raise disagreement("structured_outputs", reason)
        if self.structured_outputs is not None and super()._text_constraint is not None:
            raise disagreement("structured_outputs", "may not be given beside text.format")
        self.check_engine_fields("max_output_tokens")
        return self

    @property
    def _text_constraint(self) -> Constraint | None:
        return (
            super()._text_constraint
            if self.structured_outputs is None
            else self.structured_outputs.constraint
        )

    @property
    def output_limit(self) -> int | None:
        """Most tokens of an answer; None when the request leaves it open."""
        return self.max_output_tokens

    @property
    def num_top_logprobs(self) -> int | None:
        """Candidates shown at each position; None where no log-probabilities are asked for."""
        asked = bool(self.top_logprobs) or LOGPROBS in (self.include or ())
        return (self.top_logprobs or 0) if asked else None

    @property
    def is_batch(self) -> bool:
        """Whether nobody waits for the answer: OpenAI's slow tier, or a priority behind vLLM's usual one."""
        return self.service_tier == "flex" or super().is_batch
