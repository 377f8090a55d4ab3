"""The body of `POST /v1/decisions`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from phiserve.decisions.labels import MAX_OPTIONS
from phiserve.protocol.decisions.items import Item
from phiserve.protocol.decisions.parts import MAX_PARTS, QuestionPart, Text, content_tag
from phiserve.protocol.wire_model import WireModel, bounded, choose_by

MAX_QUESTIONS, MAX_LEVELS, MAX_ITEMS = 400, 10, 131_072
MAX_INSTRUCTIONS = 1_048_576
"""OpenAI's limits."""

Instructions = Annotated[
    Annotated[str, Field(max_length=MAX_INSTRUCTIONS), Tag(":string")]
    | Annotated[tuple[QuestionPart, ...], Tag(":parts"), bounded(MAX_PARTS)],
    Discriminator(content_tag),
]


class _Question(WireModel):
    """What questions of all types have. `name` is repeated in the answer."""

    instructions: Instructions
    name: str = ""

    @property
    def given_name(self) -> str | None:
        """The name, None where there is none."""
        return self.name if "name" in self.model_fields_set else None


class Predicate(_Question):
    """How likely it is that a statement about the input is true."""

    type: Literal["predicate"]


def _string_or_boolean(value: object) -> object:
    """Raises PydanticCustomError for a value of any other type."""
    if not isinstance(value, str | bool):
        raise PydanticCustomError("choice_value_type", "must be a string or a boolean")
    return value


class ChoiceOption(WireModel):
    """One of a choice's values."""

    value: Annotated[str | bool, BeforeValidator(_string_or_boolean)]
    description: str = ""


class Choice(_Question):
    """Which of these values."""

    type: Literal["choice"]
    choices: Annotated[tuple[ChoiceOption, ...], bounded(MAX_OPTIONS, least=2)]

    @field_validator("choices")
    @classmethod
    def _differ(cls, choices: tuple[ChoiceOption, ...]) -> tuple[ChoiceOption, ...]:
        """True and "true" differ. Raises PydanticCustomError for the second of two equal ones."""
        seen: set[tuple[type, object]] = set()
        for index, choice in enumerate(choices):
            key = (type(choice.value), choice.value)
            if key in seen:
                context = {"text": "is a value of an earlier choice too", "path": f"[{index}].value"}
                raise PydanticCustomError("duplicate_value", "{text}", context)
            seen.add(key)
        return choices


class Level(WireModel):
    """One of a score's levels."""

    label: str
    description: str = ""


class Score(_Question):
    """How far along these levels, given from the lowest to the highest."""

    type: Literal["score"]
    levels: Annotated[tuple[Level, ...], bounded(MAX_LEVELS, least=2)]


TYPES = ("predicate", "choice", "score")

Question = Annotated[
    Annotated[Predicate, Tag(":predicate")]
    | Annotated[Choice, Tag(":choice")]
    | Annotated[Score, Tag(":score")],
    choose_by("type", TYPES, "question", f"must be one of {', '.join(TYPES)}"),
]


def _num_pieces(question: Question) -> int:
    options: Sequence[object] = ()
    match question:
        case Choice():
            options = question.choices
        case Score():
            options = question.levels
    return len(options) + _num_parts(question)


def _num_parts(holder: object) -> int:
    """Parts of a question's or an item's content, of which a text is one."""
    contents = (getattr(holder, name, None) for name in ("instructions", "content", "output"))
    return max(len(content) if isinstance(content, tuple) else 1 for content in contents)


class DecisionCacheOptions(WireModel):
    """How a prompt would be cached. Without effect: all of a prompt is cached."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] = "30m"


class DecisionsRequest(WireModel):
    """Questions about one input. `return_diagnostics` is this server's own."""

    error_codes: ClassVar[Mapping[str, str]] = {
        "empty": "empty_array",
        "too_short": "array_below_min_length",
        "too_long": "array_above_max_length",
        "string_too_long": "string_above_max_length",
        "duplicate_name": "",
    }
    error_paths: ClassVar[Mapping[str, str]] = {"part": ".type", "question": ".type", "role": ".role"}

    model: Annotated[str, Field(max_length=2**20)] | None = None
    input: Annotated[
        Annotated[Text, Tag(":string")] | Annotated[tuple[Item, ...], Tag(":items"), bounded(MAX_ITEMS)],
        Discriminator(lambda given: ":items" if isinstance(given, list | tuple) else ":string"),
    ]
    questions: Annotated[tuple[Question, ...], bounded(MAX_QUESTIONS, least=1)]
    prompt_cache_key: Annotated[str, Field(max_length=64)] | None = None
    prompt_cache_options: DecisionCacheOptions | None = None
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    return_diagnostics: bool = False

    @property
    def num_pieces(self) -> int:
        """Options and parts of all questions, items and parts of the input."""
        items = () if isinstance(self.input, str) else self.input
        return sum(map(_num_pieces, self.questions)) + sum(map(_num_parts, items))

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        """Raises PydanticCustomError for the second question of a name."""
        seen: set[str] = set()
        for index, question in enumerate(self.questions):
            name = question.given_name
            if name in seen:
                context = {
                    "text": "is the name of an earlier question too",
                    "field": f"questions[{index}].name",
                }
                raise PydanticCustomError("duplicate_name", "{text}", context)
            if name is not None:
                seen.add(name)
        return self
