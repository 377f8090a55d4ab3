"""Content parts of a request for decisions: text, images, files, JSON."""

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, JsonValue, Tag, WithJsonSchema
from pydantic_core import PydanticCustomError

from phiserve.protocol.input_parts import GivenFile, GivenImage
from phiserve.protocol.wire_model import WireModel, bounded, choose_by

MAX_TEXT = 10_485_760
MAX_PARTS = 16_384
MAX_JSON_DEPTH, MAX_JSON_VALUES, MAX_JSON_BYTES = 32, 10_000, 2**18
"""OpenAI's limits."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]


def compact(value: JsonValue) -> str:
    """JSON without white space, other alphabets as they are. Raises ValueError for NaN and infinity."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


_OBJECTS: dict[str, JsonValue] = {
    "anyOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]
}


def _bounded_json(data: JsonValue) -> JsonValue:
    """Raises PydanticCustomError for JSON that is too deep or too large, and for what is no object."""
    objects = data if isinstance(data, list) else [data]
    if not all(isinstance(one, dict) for one in objects):
        raise PydanticCustomError("objects_type", "must be an object or an array of objects")
    level: list[JsonValue] = [data]
    num_values = depth = 0
    while level:
        num_values += len(level)
        if num_values > MAX_JSON_VALUES:
            raise _too_large(f"must have at most {MAX_JSON_VALUES} values")
        containers = [value for value in level if isinstance(value, dict | list)]
        depth += bool(containers)
        if depth > MAX_JSON_DEPTH:
            raise _too_large(f"must have at most {MAX_JSON_DEPTH} containers in each other")
        level = [child for one in containers for child in (one.values() if isinstance(one, dict) else one)]
    try:
        num_bytes = len(compact(data).encode(errors="surrogatepass"))
    except ValueError:
        raise PydanticCustomError("json_numbers", "must hold finite numbers") from None
    if num_bytes > MAX_JSON_BYTES:
        raise _too_large(f"must have at most {MAX_JSON_BYTES} bytes as compact JSON")
    return data


def _too_large(reason: str) -> PydanticCustomError:
    return PydanticCustomError("json_too_large", "{text}", {"text": reason})


class TextInput(WireModel):
    """`{"type": "input_text", "text": …}`."""

    type: Literal["input_text"]
    text: Text


class DecisionCacheBreakpoint(WireModel):
    """Where the prompt's cache may be cut; on this route it says nothing else."""

    mode: Literal["explicit"]


class CachedTextInput(TextInput):
    """Text of the shared input; where the prompt's cache may be cut has no effect."""

    prompt_cache_breakpoint: DecisionCacheBreakpoint | None = None


class CachedImageInput(GivenImage):
    """An image of the shared input; where the prompt's cache may be cut has no effect."""

    prompt_cache_breakpoint: DecisionCacheBreakpoint | None = None


class CachedFileInput(GivenFile):
    """A PDF or an image of the shared input; where the prompt's cache may be cut has no effect."""

    prompt_cache_breakpoint: DecisionCacheBreakpoint | None = None


class JsonInput(WireModel):
    """`{"type": "input_json", "data": …}`: an object or several, shown as compact JSON."""

    type: Literal["input_json"]
    data: Annotated[JsonValue, AfterValidator(_bounded_json), WithJsonSchema(_OBJECTS)]


class DecisionOutputText(WireModel):
    """Text of an earlier answer."""

    type: Literal["output_text"]
    text: Text


class DecisionRefusal(WireModel):
    """A refusal of an earlier answer, read as its text."""

    type: Literal["refusal"]
    refusal: Text


Part = TextInput | GivenImage | GivenFile | JsonInput | DecisionOutputText | DecisionRefusal
"""A content part of any place."""


def _types(*names: str) -> Discriminator:
    return choose_by("type", names, "part", f"must be one of {', '.join(names)}")


UserPart = Annotated[
    Annotated[CachedTextInput, Tag(":input_text")]
    | Annotated[CachedImageInput, Tag(":input_image")]
    | Annotated[CachedFileInput, Tag(":input_file")]
    | Annotated[JsonInput, Tag(":input_json")],
    _types("input_text", "input_image", "input_file", "input_json"),
]
QuestionPart = Annotated[
    Annotated[TextInput, Tag(":input_text")]
    | Annotated[GivenImage, Tag(":input_image")]
    | Annotated[GivenFile, Tag(":input_file")]
    | Annotated[JsonInput, Tag(":input_json")],
    _types("input_text", "input_image", "input_file", "input_json"),
]
OutputPart = Annotated[
    Annotated[CachedTextInput, Tag(":input_text")]
    | Annotated[CachedImageInput, Tag(":input_image")]
    | Annotated[CachedFileInput, Tag(":input_file")],
    _types("input_text", "input_image", "input_file"),
]
AssistantPart = Annotated[
    Annotated[DecisionOutputText, Tag(":output_text")] | Annotated[DecisionRefusal, Tag(":refusal")],
    _types("output_text", "refusal"),
]


def content_tag(content: object) -> str:
    """Whether a content is one string or a list of parts."""
    return ":parts" if isinstance(content, list | tuple) else ":string"


String = Annotated[Text, Tag(":string")]
UserContent = Annotated[
    String | Annotated[tuple[UserPart, ...], Tag(":parts"), bounded(MAX_PARTS)], Discriminator(content_tag)
]
InstructionContent = Annotated[
    String | Annotated[tuple[CachedTextInput, ...], Tag(":parts"), bounded(MAX_PARTS)],
    Discriminator(content_tag),
]
AssistantContent = Annotated[
    String | Annotated[tuple[AssistantPart, ...], Tag(":parts"), bounded(MAX_PARTS)],
    Discriminator(content_tag),
]
OutputContent = Annotated[
    String | Annotated[tuple[OutputPart, ...], Tag(":parts"), bounded(MAX_PARTS)], Discriminator(content_tag)
]
