"""Constraints on the form of an answer: OpenAI's `response_format` and vLLM's `structured_outputs`.

What would not be enforced, could never be answered or costs too much to follow is refused, by name and path.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, PrivateAttr, Tag, model_validator
from pydantic_core import PydanticCustomError

from phiserve.constraints.constraint import Constraint, InvalidSchema, UnsupportedConstraint, write_path
from phiserve.constraints.gbnf import gbnf_grammar
from phiserve.constraints.json_schema import json_schema_grammar
from phiserve.constraints.lark import check_compiles, choice_grammar
from phiserve.constraints.lengths import bounds_expression, bounds_schema
from phiserve.constraints.regex import regex_grammar
from phiserve.errors import InvalidRequest, shortened
from phiserve.protocol.compatibility import STRUCTURED_OUTPUTS_FIELDS
from phiserve.protocol.refused import describer, refuser
from phiserve.protocol.wire_model import RequestPart, bounded, choose_by

FORMAT_TYPES = ("text", "json_object", "json_schema")
MAX_GRAMMAR_CHARACTERS = 16 * 2**10
MAX_REGEX_CHARACTERS = 1024
MAX_CHOICES = 1000
MAX_CHOICE_CHARACTERS = 64 * 2**10
"""Of all choices together."""

_Given = TypeVar("_Given")


def _compiled(
    write: Callable[[_Given], str], given: _Given, param: str, *, is_open: bool = False
) -> Constraint:
    """A constraint that was compiled. `is_open`: it does not say how long an answer may become.

    An error is raised as it is: told to pydantic, it would be looked for, and the constraint compiled, once
    more.
    """
    try:
        grammar = write(given)
        if write is not json_schema_grammar:
            check_compiles(grammar)
    except UnsupportedConstraint as error:
        code = "invalid_value" if isinstance(error, InvalidSchema) else "unsupported_schema"
        param = shortened(param + write_path(error.path))
        raise InvalidRequest(error.reason, param=param, code=code) from None
    return Constraint(grammar, param, is_open=is_open, keeps_first_space=True)


@cache
def _any_object() -> Constraint:
    """The same for every request."""
    constraint = _compiled(json_schema_grammar, {"type": "object"}, "response_format")
    return replace(constraint, is_endless=True)


def _choices(texts: tuple[str, ...]) -> str:
    if sum(map(len, texts)) > MAX_CHOICE_CHARACTERS:
        raise UnsupportedConstraint(f"the choices have more than {MAX_CHOICE_CHARACTERS} characters together")
    return choice_grammar(texts)


def _empty_if_null(value: object) -> object:
    return {} if value is None else value


class TextFormat(RequestPart):
    """Free text, the default."""

    type: Literal["text"]

    @property
    def constraint(self) -> Constraint | None:
        """Nothing is asked of the answer's form."""
        return None


class JsonObjectFormat(RequestPart):
    """Any JSON object."""

    type: Literal["json_object"]
    _constraint: Constraint = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        self._constraint = _any_object()
        return self

    @property
    def constraint(self) -> Constraint | None:
        """Any object."""
        return self._constraint


class JsonSchema(RequestPart):
    """A named JSON schema. `strict` is accepted either way: the schema is always enforced."""

    param: ClassVar[str] = "response_format.json_schema.schema"
    """Where the schema stands in the request."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    schema_: Annotated[
        dict[str, JsonValue],
        Field(alias="schema", default_factory=dict),
        BeforeValidator(_empty_if_null, json_schema_input_type=dict[str, JsonValue] | None),
    ]
    description: str | None = None
    strict: bool | None = None
    _constraint: Constraint = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        is_open = not bounds_schema(self.schema_)
        self._constraint = _compiled(json_schema_grammar, self.schema_, self.param, is_open=is_open)
        return self

    @property
    def constraint(self) -> Constraint:
        """The schema, as it passed every check."""
        return self._constraint


class JsonSchemaFormat(RequestPart):
    """JSON that follows a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema

    @property
    def constraint(self) -> Constraint | None:
        """The schema's."""
        return self.json_schema.constraint


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag(":text")]
    | Annotated[JsonObjectFormat, Tag(":json_object")]
    | Annotated[JsonSchemaFormat, Tag(":json_schema")],
    choose_by("type", FORMAT_TYPES, "format_type", f"type must be one of {', '.join(FORMAT_TYPES)}"),
]


_Refused = Annotated[object, refuser(STRUCTURED_OUTPUTS_FIELDS)]


class StructuredOutputs(RequestPart):
    """vLLM's extra: one of a JSON schema, a regular expression, a list of choices, a grammar and any object.

    `disable_any_whitespace` has no effect: JSON is written without white space anyhow.
    """

    model_config = ConfigDict(json_schema_extra=describer(STRUCTURED_OUTPUTS_FIELDS))

    json_: Annotated[dict[str, JsonValue] | None, Field(alias="json")] = None
    regex: Annotated[str, Field(min_length=1, max_length=MAX_REGEX_CHARACTERS)] | None = None
    choice: Annotated[tuple[str, ...], bounded(MAX_CHOICES, least=1)] | None = None
    grammar: Annotated[str, Field(min_length=1, max_length=MAX_GRAMMAR_CHARACTERS)] | None = None
    json_object: bool | None = None
    disable_any_whitespace: bool | None = None
    disable_additional_properties: _Refused = None
    structural_tag: _Refused = None
    whitespace_pattern: _Refused = None
    _constraint: Constraint = PrivateAttr()

    @model_validator(mode="after")
    def _compile(self) -> Self:
        asked = (self.json_, self.regex, self.choice, self.grammar, self.json_object or None)
        if sum(field is not None for field in asked) != 1:
            raise PydanticCustomError(
                "structured_outputs",
                "exactly one of json, regex, choice, grammar, json_object must be given",
            )
        if self.json_object:
            self._constraint = replace(_any_object(), param="structured_outputs.json_object")
        if self.json_ is not None:
            is_open = not bounds_schema(self.json_)
            self._constraint = _compiled(
                json_schema_grammar, self.json_, "structured_outputs.json", is_open=is_open
            )
        if self.regex is not None:
            is_open = not bounds_expression(self.regex)
            self._constraint = _compiled(
                regex_grammar, self.regex, "structured_outputs.regex", is_open=is_open
            )
        if self.choice is not None:
            self._constraint = _compiled(_choices, self.choice, "structured_outputs.choice")
        if self.grammar is not None:
            self._constraint = _compiled(
                gbnf_grammar, self.grammar, "structured_outputs.grammar", is_open=True
            )
        return self

    @property
    def constraint(self) -> Constraint:
        """The one that is given, as it passed every check."""
        return self._constraint
