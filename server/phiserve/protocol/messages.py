"""The messages of a chat request, one small class for each role and content part."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from phiserve.protocol.documents import FileData, FileDetail, Pages, check_sources
from phiserve.protocol.wire_model import ReplayedModel, RequestPart, bounded, choose_by

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_PARTS = 1000
"""Content parts of one message."""


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
