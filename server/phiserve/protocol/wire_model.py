"""What all objects that clients send have in common, and how lists and unions of them are read."""

from collections.abc import Mapping, Sequence, Set
from functools import cache
from typing import ClassVar, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_validator
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo


class WireModel(BaseModel):
    """Base of everything a client sends: exact types, no unknown keys, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    error_codes: ClassVar[Mapping[str, str]] = {}
    """Of a request: codes of its own, by pydantic's kind of error; an empty one is null on the wire."""

    long_field: ClassVar[str] = ""
    """Of a request: the field that may hold more values than all of another body."""

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


def choose_by(field: str, names: tuple[str, ...], error_type: str, message: str) -> Discriminator:
    """Choose the class of a union by the value of `field`.

    Other values than `names` are an error with this type and message. Tags start with ":" so that they can be
    told from field names in an error's location (see `protocol.parsing`).
    """

    def tag(value: object) -> str | None:
        name = value.get(field) if isinstance(value, dict) else getattr(value, field, None)
        return f":{name}" if name in names else None

    return Discriminator(tag, custom_error_type=error_type, custom_error_message=message)
