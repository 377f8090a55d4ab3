"""instructor: answers as objects of Pydantic's, by tools, which is its default."""

from collections.abc import Iterable
from typing import Any, Literal

import instructor
from checks import IMAGE, MODEL, QUESTION, run
from pydantic import BaseModel, Field

client = instructor.from_provider(f"openai/{MODEL}")


class Shape(BaseModel):
    """A shape of an image."""

    shape: Literal["circle", "square", "triangle"]
    red: bool
    number: int = Field(ge=1, le=20)


def _messages(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def default() -> str:
    """An object."""
    shape = client.create(response_model=Shape, messages=_messages("Name a shape."))
    assert isinstance(shape, Shape), shape
    return repr(shape)


def picture() -> str:
    """An object about an image."""
    content = [QUESTION, instructor.Image.from_path(IMAGE)]
    shape = client.create(response_model=Shape, messages=_messages(content))
    assert isinstance(shape, Shape), shape
    return repr(shape)


def stream() -> str:
    """Partial objects, the last of which is whole."""
    parts = list(client.create_partial(response_model=Shape, messages=_messages("Name a shape.")))
    return repr(Shape.model_validate(parts[-1].model_dump()))


def structured() -> str:
    """The same by a JSON schema. `Mode.JSON`, which only asks for JSON, is for stronger models."""
    other = instructor.from_provider(f"openai/{MODEL}", mode=instructor.Mode.JSON_SCHEMA)
    shape = other.create(response_model=Shape, messages=_messages("Name a shape."))
    assert isinstance(shape, Shape), shape
    return repr(shape)


def tools() -> str:
    """Several objects, each a call of a tool."""
    shapes = client.create(response_model=Iterable[Shape], messages=_messages("Name a shape."))
    return repr(list(shapes))


run({"default": default, "picture": picture, "stream": stream, "structured": structured, "tools": tools})
