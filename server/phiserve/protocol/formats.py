"""Constraints on the form of an answer: OpenAI's `response_format` and vLLM's `structured_outputs`.

What would not be enforced, could never be answered or costs too much to follow is refused, by name and place.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from phiserve.constraints.ambiguity import check_ambiguity
from phiserve.constraints.constraint import Constraint, ConstraintValue, Kind
from phiserve.constraints.for_xgrammar import engine_regex, engine_schema
from phiserve.constraints.gbnf import check_grammar
from phiserve.constraints.json_schema import check_schema, write_place
from phiserve.constraints.regex import parse_regex
from phiserve.constraints.syntax import UnsupportedExpression
from phiserve.constraints.value_types import InvalidSchema, UnsupportedSchema
from phiserve.protocol.messages import WireModel, choose_by

FORMAT_TYPES = ("text", "json_object", "json_schema")
MAX_GRAMMAR_CHARACTERS = 16 * 2**10
MAX_REGEX_CHARACTERS = 1024
MAX_CHOICES = 1000
MAX_CHOICE_CHARACTERS = 64 * 2**10
"""Of all choices together."""


def _enforced_schema(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        check_schema(schema)
    except InvalidSchema as error:
        kind = "unsupported_schema" if isinstance(error, UnsupportedSchema) else "schema"
        context = {"text": error.message, "path": write_place(error.place)}
        raise PydanticCustomError(kind, "{text}", context) from None
    return engine_schema(schema)


def _enforced_regex(regex: str) -> str:
    try:
        node = parse_regex(regex)
        check_ambiguity({"": node})
    except UnsupportedExpression as error:
        raise _unsupported(f"the expression {error}") from None
    return engine_regex(node)


def _enforced_grammar(grammar: str) -> str:
    try:
        check_grammar(grammar)
    except UnsupportedExpression as error:
        raise _unsupported(f"the grammar {error}") from None
    return grammar


def _bounded_choices(choices: tuple[str, ...]) -> tuple[str, ...]:
    if sum(map(len, choices)) > MAX_CHOICE_CHARACTERS:
        raise _unsupported(f"the choices have more than {MAX_CHOICE_CHARACTERS} characters together")
    return choices


def _unsupported(message: str) -> PydanticCustomError:
    return PydanticCustomError("unsupported_schema", "{text}", {"text": message})


Schema = Annotated[dict[str, Any], AfterValidator(_enforced_schema)]
Regex = Annotated[str, Field(min_length=1, max_length=MAX_REGEX_CHARACTERS), AfterValidator(_enforced_regex)]
Grammar = Annotated[
    str, Field(min_length=1, max_length=MAX_GRAMMAR_CHARACTERS), AfterValidator(_enforced_grammar)
]
Choices = Annotated[
    tuple[str, ...],
    Field(min_length=1, max_length=MAX_CHOICES, strict=False),
    AfterValidator(_bounded_choices),
]


class TextFormat(WireModel):
    """Free text, the default."""

    type: Literal["text"]

    @property
    def constraint(self) -> Constraint | None:
        """Nothing is asked of the answer's form."""
        return None


class JsonObjectFormat(WireModel):
    """Any JSON object."""

    type: Literal["json_object"]

    @property
    def constraint(self) -> Constraint | None:
        """Any object."""
        return Constraint("json_object", None, "response_format")


class JsonSchema(WireModel):
    """A named JSON schema. `strict` is accepted either way: the schema is always enforced."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema_: Annotated[Schema, Field(alias="schema", default_factory=dict)]
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(WireModel):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema

    @property
    def constraint(self) -> Constraint | None:
        """The schema, as it passed every check."""
        return Constraint("json", self.json_schema.schema_, "response_format.json_schema.schema")


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag(":text")]
    | Annotated[JsonObjectFormat, Tag(":json_object")]
    | Annotated[JsonSchemaFormat, Tag(":json_schema")],
    choose_by("type", FORMAT_TYPES, "format_type", f"type must be one of {', '.join(FORMAT_TYPES)}"),
]


class StructuredOutputs(WireModel):
    """vLLM's extra: exactly one of a JSON schema, a regular expression, a list of choices, a grammar."""

    json_: Annotated[Schema | None, Field(alias="json")] = None
    regex: Regex | None = None
    choice: Choices | None = None
    grammar: Grammar | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [field for field in (self.json_, self.regex, self.choice, self.grammar) if field is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "structured_outputs", "exactly one of json, regex, choice and grammar must be given"
            )
        return self

    @property
    def constraint(self) -> Constraint:
        """The one that is given, as it passed every check."""
        given: tuple[tuple[Kind, ConstraintValue], ...] = (
            ("json", self.json_),
            ("regex", self.regex),
            ("choice", self.choice),
            ("grammar", self.grammar),
        )
        kind, value = next((kind, value) for kind, value in given if value is not None)
        return Constraint(kind, value, f"structured_outputs.{kind}")
