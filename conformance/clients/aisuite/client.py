"""aisuite: chat completions by `openai:…`, with tools that it runs itself."""

from typing import Any, Literal

import aisuite
from checks import MODEL, PRICE_QUESTION, QUESTION, book_price, image_url, priced, run, said, shape_price
from pydantic import BaseModel

NAME = f"openai:{MODEL}"
called: list[str] = []
client = aisuite.Client()


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


def draw(shape: Literal["circle", "square", "triangle"]) -> str:
    """Draws a shape."""
    called.append(shape)
    return "drawn"


def _ask(content: Any, **options: Any) -> Any:
    return client.chat.completions.create(NAME, [{"role": "user", "content": content}], **options)


def default() -> str:
    """A question."""
    return said(_ask("Who are you?").choices[0].message.content)


def picture() -> str:
    """A question about an image."""
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": image_url()}}]
    return said(_ask(parts).choices[0].message.content)


def stream() -> str:
    """The chunks of an answer, put together."""
    chunks = list(_ask("Who are you?", stream=True))
    return said("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))


def structured() -> str:
    """A schema, which it passes on."""
    schema = {"name": "Shape", "schema": Shape.model_json_schema()}
    answer = _ask("Name a shape.", response_format={"type": "json_schema", "json_schema": schema})
    return repr(Shape.model_validate_json(answer.choices[0].message.content))


def tools() -> str:
    """A tool that must be called; it runs it and asks again, as often as it may."""
    called.clear()
    answer = _ask("Draw a shape.", tools=[draw], max_turns=2, tool_choice="required")
    assert called, "the tool was not called"
    return f"called with {called}, {answer.choices[0].message.content!r}"


def agent() -> str:
    """A loop about an image, with tools that it may call."""
    parts = [
        {"type": "text", "text": PRICE_QUESTION},
        {"type": "image_url", "image_url": {"url": image_url()}},
    ]
    return priced(_ask(parts, tools=[shape_price, book_price], max_turns=4).choices[0].message.content)


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "agent": agent,
    }
)
