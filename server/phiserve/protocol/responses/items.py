"""The items of a Responses request's `input`: messages, one small class for each role and content part."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from phiserve.errors import shortened
from phiserve.protocol.compatibility import CALL_FIELDS
from phiserve.protocol.input_parts import GivenFile, GivenImage
from phiserve.protocol.messages import MAX_PARTS
from phiserve.protocol.refused import describer, refuser
from phiserve.protocol.wire_model import EMPTY_ALONE, ReplayedModel, bounded, choose_by

ROLES = ("user", "assistant", "system", "developer")

TYPES = ("message", "function_call", "function_call_output", "item_reference")

ItemStatus = Literal["in_progress", "completed", "incomplete"]


def _no_such_item(item: object) -> object:
    """Raises PydanticCustomError, which names the item's type."""
    kind = item.get("type") if isinstance(item, dict) else None
    text = f"items of type {shortened(repr(kind))} are not supported; type must be one of {', '.join(TYPES)}"
    raise PydanticCustomError("unsupported", "{text}", {"text": text})


class InputText(ReplayedModel):
    """`{"type": "input_text", "text": …}`. Where the prompt's cache may be cut has no effect."""

    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: object = None


class InputImage(GivenImage, ReplayedModel):
    """An image. Where the prompt's cache may be cut has no effect."""

    prompt_cache_breakpoint: object = None


class InputFile(GivenFile, ReplayedModel):
    """A PDF, or an image. Where the prompt's cache may be cut has no effect."""

    prompt_cache_breakpoint: object = None


class EarlierText(ReplayedModel):
    """Text of an earlier answer, as clients send a response's output back; only the text is read.

    `parsed` is what OpenAI's client for JavaScript made of it.
    """

    type: Literal["output_text"]
    text: str
    annotations: object = None
    logprobs: object = None
    parsed: object = None


class Refusal(ReplayedModel):
    """A refusal of an earlier answer; read as its text."""

    type: Literal["refusal"]
    refusal: str


def _content_tag(content: object) -> str:
    return ":parts" if isinstance(content, list | tuple) else ":string"


def _part_types(*names: str) -> Discriminator:
    message = f"type must be one of {', '.join(names)}; audio is not served"
    return choose_by("type", names, "part_type", message)


_String = Annotated[str, Tag(":string")]
_InputText = Annotated[InputText, Tag(":input_text")]
_InputImage = Annotated[InputImage, Tag(":input_image")]
_InputFile = Annotated[InputFile, Tag(":input_file")]
_EarlierText = Annotated[EarlierText, Tag(":output_text")]
_Refusal = Annotated[Refusal, Tag(":refusal")]

_UserPart = Annotated[
    _InputText | _InputImage | _InputFile, _part_types("input_text", "input_image", "input_file")
]
_AssistantPart = Annotated[
    _EarlierText | _Refusal | _InputText, _part_types("output_text", "refusal", "input_text")
]

_ContentChoice = Discriminator(_content_tag)
_Parts = bounded(MAX_PARTS, least=1)


def _message_if_null(kind: object) -> object:
    return "message" if kind is None else kind


class _MessageItem(ReplayedModel):
    """What messages of all roles may have beside their content; none of it has an effect."""

    type: Annotated[
        Literal["message"],
        BeforeValidator(_message_if_null, json_schema_input_type=Literal["message"] | None),
    ] = "message"
    id: str | None = None
    status: ItemStatus | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class SystemItem(_MessageItem):
    """Instructions, under either of OpenAI's names for them."""

    role: Literal["system", "developer"]
    content: Annotated[
        _String | Annotated[tuple[InputText, ...], Tag(":parts"), _Parts],
        _ContentChoice,
    ]


class UserItem(_MessageItem):
    """What the person says and shows."""

    role: Literal["user"]
    content: Annotated[
        _String | Annotated[tuple[_UserPart, ...], Tag(":parts"), _Parts],
        _ContentChoice,
    ]


class AssistantItem(_MessageItem):
    """An earlier answer, which may have said nothing."""

    role: Literal["assistant"]
    content: Annotated[
        _String | Annotated[tuple[_AssistantPart, ...], Tag(":parts"), bounded(MAX_PARTS)],
        _ContentChoice,
    ]


_Refused = Annotated[object, refuser(CALL_FIELDS)]
_DESCRIBED = describer(CALL_FIELDS, EMPTY_ALONE)


class FunctionCallItem(ReplayedModel):
    """A call of a tool in an earlier answer, as clients send a response's output back.

    `parsed_arguments` is what OpenAI's client for JavaScript made of the arguments; it has no effect.
    """

    model_config = ConfigDict(json_schema_extra=_DESCRIBED)

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    parsed_arguments: object = None
    id: str | None = None
    status: ItemStatus | None = None
    namespace: _Refused = None
    caller: _Refused = None
    async_: Annotated[_Refused, Field(alias="async")] = None


class FunctionCallOutput(ReplayedModel):
    """The result of a call, which may show images. A `name` has no effect: the call has one."""

    model_config = ConfigDict(json_schema_extra=_DESCRIBED)

    type: Literal["function_call_output"]
    call_id: str
    output: Annotated[
        _String | Annotated[tuple[_UserPart, ...], Tag(":parts"), bounded(MAX_PARTS)],
        _ContentChoice,
    ]
    id: str | None = None
    status: ItemStatus | None = None
    name: str | None = None
    namespace: _Refused = None
    caller: _Refused = None


class ItemReference(ReplayedModel):
    """An item that is stored here, by its id; it stands for that item."""

    type: Literal["item_reference"] | None = "item_reference"
    id: str


Part = InputText | InputImage | InputFile | EarlierText | Refusal
"""A content part of any role."""

MessageItem = SystemItem | UserItem | AssistantItem

InputItem = MessageItem | FunctionCallItem | FunctionCallOutput
"""An item that is not a reference to another."""


def _item_tag(item: object) -> str | None:
    """A message's role, another item's type, or `:other`. What has an id alone is a reference."""
    given = item if isinstance(item, dict) else getattr(item, "__dict__", {})
    kind = given.get("type", "message")
    if given.keys() == {"id"} or (kind is None and "role" not in given):
        kind = "item_reference"
    if kind not in ("message", None):
        return f":{kind}" if kind in TYPES else ":other"
    role = given.get("role")
    return f":{role}" if role in ROLES else None


Item = Annotated[
    Annotated[SystemItem, Tag(":system")]
    | Annotated[SystemItem, Tag(":developer")]
    | Annotated[UserItem, Tag(":user")]
    | Annotated[AssistantItem, Tag(":assistant")]
    | Annotated[FunctionCallItem, Tag(":function_call")]
    | Annotated[FunctionCallOutput, Tag(":function_call_output")]
    | Annotated[ItemReference, Tag(":item_reference")]
    | Annotated[object, AfterValidator(_no_such_item), WithJsonSchema({"not": {}}), Tag(":other")],
    Discriminator(
        _item_tag, custom_error_type="role", custom_error_message=f"role must be one of {', '.join(ROLES)}"
    ),
]
"""One item of `input`."""
