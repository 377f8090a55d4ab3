"""The messages of a chat request, one small class for each role and content part."""

from collections.abc import Mapping, Sequence, Set
from functools import cache
from typing import Annotated, ClassVar, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from phiserve.protocol.documents import FileData, FileDetail, Pages, check_sources

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_PARTS = 1000
"""Content parts of one message."""


class WireModel(BaseModel):
    """Base of everything a client sends: exact types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    error_codes: ClassVar[Mapping[str, str]] = {}
    """Of a request: codes of its own, by pydantic's kind of error; an empty one is null on the wire."""

    error_paths: ClassVar[Mapping[str, str]] = {}
    """Of a request: what follows the place of an error of this kind, to name the value at fault."""


NULL_ALONE: JsonDict = {"type": "null"}
EMPTY_ALONE: JsonDict = {"enum": [None, [], {}]}
"""JSON schemas of what keys that are not known may be."""


@cache
def _known(wire: type[BaseModel]) -> Set[str]:
    """The keys of an object on the wire."""
    return {field.alias or name for name, field in wire.model_fields.items()}


class RequestPart(WireModel):
    """Base of requests and of all within them: a key that is not known may be null.

    Clients write out what they leave open. So may each field that need not be there: it then is as if it were
    not.
    """

    model_config = ConfigDict(json_schema_extra={"additionalProperties": NULL_ALONE})

    asking_nothing: ClassVar[Sequence[object]] = (None,)
    """Values of keys that are not known which ask for nothing."""

    @model_validator(mode="before")
    @classmethod
    def _pass_over(cls, given: object) -> object:
        known = _known(cls)
        if not isinstance(given, dict) or given.keys() <= known:
            return given
        return {
            name: value for name, value in given.items() if name in known or value not in cls.asking_nothing
        }


class ReplayedModel(RequestPart):
    """Base of what clients send back: keys without a meaning here may be null, or empty lists or objects."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": EMPTY_ALONE})

    asking_nothing: ClassVar[Sequence[object]] = (None, [], {})


def bounded(most: int, *, least: int | None = None) -> FieldInfo:
    """The field of a list: at most so many items, and no look at others once one is wrong.

    An error for each of a million items would take seconds and gigabytes.
    """
    # Strict, a tuple could not be read from a list.
    return cast("FieldInfo", Field(min_length=least, max_length=most, strict=False, fail_fast=True))


class CacheBreakpoint(RequestPart):
    """Where a client would have the prompt's cache begin anew. Without effect: all of a prompt is cached."""

    mode: Literal["explicit"]
    ttl: str | None = None


class TextPart(ReplayedModel):
    """`{"type": "text", "text": …}`."""

    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: CacheBreakpoint | None = None


WireDetail = Literal["auto", "low", "high", "original"]
"""How closely to look at an image."""


class ImageUrl(ReplayedModel):
    """Where an image is, and how closely to look at it."""

    url: str
    detail: WireDetail | None = None


class ImagePart(ReplayedModel):
    """`{"type": "image_url", "image_url": {"url": …, "detail": …}}`.

    Images are kept by their content: a `uuid` of the client's, by which vLLM keeps them, is only held to it
    (see `vision.uuids`), and stands for no image that is left out.
    """

    type: Literal["image_url"]
    image_url: ImageUrl
    uuid: str | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None

    @field_validator("image_url", mode="before")
    @classmethod
    def _is_there(cls, value: object) -> object:
        if value is None:
            reason = "the image must be given with each request; none is kept by its uuid"
            raise PydanticCustomError("image_type", "{text}", {"text": reason})
        return value


class ImageFile(ReplayedModel):
    """An image that was uploaded before, and how closely to look at it."""

    file_id: str
    detail: WireDetail | None = None


class ImageFilePart(ReplayedModel):
    """`{"type": "image_file", "image_file": {"file_id": …, "detail": …}}`, as OpenAI's threads have it."""

    type: Literal["image_file"]
    image_file: ImageFile
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class FileContent(ReplayedModel):
    """A file: its content as a data URL, or the id of an uploaded one. A `filename` has no effect.

    `pages` and `detail`, which OpenAI's chat does not have, say which pages of a PDF are shown, and how
    closely to look at them.
    """

    file_data: FileData | None = None
    file_id: str | None = None
    filename: str | None = None
    pages: Pages | None = None
    detail: FileDetail | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        check_sources(file_data=self.file_data, file_id=self.file_id)
        return self


class FilePart(ReplayedModel):
    """`{"type": "file", "file": {"file_data": …, "filename": …}}`: a PDF, or an image."""

    type: Literal["file"]
    file: FileContent
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(ReplayedModel):
    """A refusal of an earlier assistant turn; read as its text."""

    type: Literal["refusal"]
    refusal: str


def choose_by(field: str, names: tuple[str, ...], error_type: str, message: str) -> Discriminator:
    """Choose the class of a union by the value of `field`.

    Other values than `names` are an error with this type and message. Tags start with ":" so that they can be
    told from field names in an error's location (see `protocol.parsing`).
    """

    def tag(value: object) -> str | None:
        name = value.get(field) if isinstance(value, dict) else getattr(value, field, None)
        return f":{name}" if name in names else None

    return Discriminator(tag, custom_error_type=error_type, custom_error_message=message)


def _content_tag(content: object) -> str:
    return ":parts" if isinstance(content, list | tuple) else ":string"


_TextPart = Annotated[TextPart, Tag(":text")]
_ImagePart = Annotated[ImagePart, Tag(":image_url")]
_ImageFilePart = Annotated[ImageFilePart, Tag(":image_file")]
_FilePart = Annotated[FilePart, Tag(":file")]
_RefusalPart = Annotated[RefusalPart, Tag(":refusal")]
_String = Annotated[str, Tag(":string")]


def _part_choice(*types: str) -> Discriminator:
    allowed = " or ".join(types)
    reason = f"type must be {allowed} in a message of this role; others are not supported"
    return choose_by("type", types, "part_type", reason)


UserPart = Annotated[
    _TextPart | _ImagePart | _ImageFilePart | _FilePart,
    _part_choice("text", "image_url", "image_file", "file"),
]
AssistantPart = Annotated[_TextPart | _RefusalPart, _part_choice("text", "refusal")]

_ContentChoice = Discriminator(_content_tag)
TextContent = Annotated[
    _String | Annotated[tuple[TextPart, ...], Tag(":parts"), bounded(MAX_PARTS, least=1)],
    _ContentChoice,
]
UserContent = Annotated[
    _String | Annotated[tuple[UserPart, ...], Tag(":parts"), bounded(MAX_PARTS, least=1)],
    _ContentChoice,
]
AssistantContent = Annotated[
    _String | Annotated[tuple[AssistantPart, ...], Tag(":parts"), bounded(MAX_PARTS)],
    _ContentChoice,
]
ResultContent = Annotated[
    _String | Annotated[tuple[UserPart, ...], Tag(":parts"), bounded(MAX_PARTS)],
    _ContentChoice,
]


class SystemMessage(ReplayedModel):
    """Instructions, under either of OpenAI's names for them.

    A `name` has no effect: the prompt has no form for one.
    """

    role: Literal["system", "developer"]
    content: TextContent
    name: str | None = None


class UserMessage(ReplayedModel):
    """What the person says and shows."""

    role: Literal["user"]
    content: UserContent
    name: str | None = None


class FunctionCall(ReplayedModel):
    """Name and JSON arguments of an earlier tool call.

    OpenAI's clients send `parsed_arguments`, their reading of the arguments, along; it has no effect.
    """

    name: str
    arguments: str
    parsed_arguments: object = None


class ToolCall(ReplayedModel):
    """A tool call of an earlier assistant turn. `index` is left over from a stream, and has no effect."""

    id: str
    type: Literal["function"]
    function: FunctionCall
    index: int | None = None


_Nothing = Annotated[tuple[object, ...], bounded(0)] | None
"""A list that no answer of ours has anything in."""


class AssistantMessage(ReplayedModel):
    """An earlier answer.

    The fields from `annotations` on have no effect: none of them holds anything that the model said beside
    its words and calls, or would be shown again.
    """

    role: Literal["assistant"]
    content: AssistantContent | None = None
    name: str | None = None
    refusal: str | None = None
    tool_calls: Annotated[tuple[ToolCall, ...], bounded(MAX_PARTS)] | None = None
    function_call: FunctionCall | None = None
    annotations: _Nothing = None
    audio: None = None
    parsed: object = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    provider_specific_fields: Annotated[dict[str, None], Field(fail_fast=True)] | None = None


class ToolMessage(ReplayedModel):
    """The result of a tool call, which may show images. A `name` has no effect: the call has one."""

    role: Literal["tool"]
    content: ResultContent | None
    tool_call_id: str
    name: str | None = None


class FunctionMessage(ReplayedModel):
    """The result of a call by OpenAI's older interface, which knows functions and no tools."""

    role: Literal["function"]
    content: str | None
    name: str


Message = Annotated[
    Annotated[SystemMessage, Tag(":system")]
    | Annotated[SystemMessage, Tag(":developer")]
    | Annotated[UserMessage, Tag(":user")]
    | Annotated[AssistantMessage, Tag(":assistant")]
    | Annotated[ToolMessage, Tag(":tool")]
    | Annotated[FunctionMessage, Tag(":function")],
    choose_by("role", ROLES, "role", f"role must be one of {', '.join(ROLES)}"),
]
