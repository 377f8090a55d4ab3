"""Constraints on the form of an answer: OpenAI's `response_format` and vLLM's `structured_outputs`.

Sizes are bounded: compiling a constraint takes time and memory that grow with it. What the engine's grammar library cannot
express is refused by the engine, by name.
"""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from phiserve.protocol.messages import WireModel, choose_by

FORMAT_TYPES = ("text", "json_object", "json_schema")
MAX_SCHEMA_BYTES = 64 * 2**10
MAX_SCHEMA_DEPTH = 32
MAX_GRAMMAR_CHARACTERS = 16 * 2**10
MAX_REGEX_CHARACTERS = 1024
MAX_CHOICES = 1000


def _bounded(schema: dict[str, Any]) -> dict[str, Any]:
    if _depth(schema) > MAX_SCHEMA_DEPTH:
        raise PydanticCustomError("schema_depth", f"the schema is nested more than {MAX_SCHEMA_DEPTH} levels deep")
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise PydanticCustomError("schema_size", f"the schema is larger than {MAX_SCHEMA_BYTES} bytes")
    return schema


def _depth(node: Any) -> int:
    """Levels of nesting, counted no further than one beyond the limit."""
    level, nodes = 0, [node]
    while nodes and level <= MAX_SCHEMA_DEPTH:
        level += 1
        nodes = [
            child
            for parent in nodes
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
    return level


class TextFormat(WireModel):
    """Free text, the default."""

    type: Literal["text"]


class JsonObjectFormat(WireModel):
    """Any JSON object."""

    type: Literal["json_object"]


class JsonSchema(WireModel):
    """A named JSON schema. `strict` is accepted either way: the schema is always enforced."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, Any], Field(alias="schema", default_factory=dict)]
    description: str | None = None
    strict: bool | None = None

    @field_validator("schema_")
    @classmethod
    def _schema_is_bounded(cls, schema: dict[str, Any]) -> dict[str, Any]:
        return _bounded(schema)


class JsonSchemaFormat(WireModel):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag(":text")]
    | Annotated[JsonObjectFormat, Tag(":json_object")]
    | Annotated[JsonSchemaFormat, Tag(":json_schema")],
    choose_by("type", FORMAT_TYPES, "format_type", f"type must be one of {', '.join(FORMAT_TYPES)}"),
]


class StructuredOutputs(WireModel):
    """vLLM's extra: exactly one of a JSON schema, a regular expression, a list of choices, a grammar."""

    json_: Annotated[dict[str, Any] | None, Field(alias="json")] = None
    regex: Annotated[str, Field(min_length=1, max_length=MAX_REGEX_CHARACTERS)] | None = None
    choice: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_CHOICES, strict=False)] | None = None
    grammar: Annotated[str, Field(min_length=1, max_length=MAX_GRAMMAR_CHARACTERS)] | None = None

    @field_validator("json_")
    @classmethod
    def _schema_is_bounded(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        return schema if schema is None else _bounded(schema)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [field for field in (self.json_, self.regex, self.choice, self.grammar) if field is not None]
        if len(given) != 1:
            raise PydanticCustomError("structured_outputs", "exactly one of json, regex, choice and grammar must be given")
        return self
