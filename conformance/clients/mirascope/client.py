"""mirascope: `openai/…`, which means `/v1/responses`, and `:completions`, which means chat completions."""

from typing import Literal

from checks import (
    MODEL,
    PRICE_QUESTION,
    QUESTION,
    book_price,
    calls,
    image_url,
    priced,
    run,
    said,
    shape_price,
)
from mirascope import llm
from pydantic import BaseModel

CALLS_AT_MOST = 4


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


def default() -> str:
    """A question."""
    return said(llm.model(f"openai/{MODEL}").call("Who are you?").text())


def picture() -> str:
    """A question about an image."""
    return said(llm.model(f"openai/{MODEL}").call([QUESTION, llm.Image.from_url(image_url())]).text())


def stream() -> str:
    """The pieces of an answer, put together."""
    return said("".join(llm.model(f"openai/{MODEL}").stream("Who are you?").text_stream()))


def structured() -> str:
    """The default of structured output."""
    output = llm.model(f"openai/{MODEL}").call("Name a shape.", format=Shape).parse()
    assert isinstance(output, Shape), output
    return repr(output)


def tools() -> str:
    """Structured output by a tool that must be called."""
    output = llm.model(f"openai/{MODEL}").call("Name a shape.", format=llm.format(Shape, mode="tool")).parse()
    assert isinstance(output, Shape), output
    return repr(output)


def agent() -> str:
    """A loop about an image, with tools that it may call."""
    model = llm.model(f"openai/{MODEL}")
    content = [PRICE_QUESTION, llm.Image.from_url(image_url())]
    response = model.call(content, tools=[llm.tool(shape_price), llm.tool(book_price)])
    while response.tool_calls and len(calls) < CALLS_AT_MOST:
        response = response.resume(response.execute_tools())
    return priced(response.text())


def completions() -> str:
    """Chat completions, streamed, about an image."""
    model = llm.model(f"openai/{MODEL}:completions")
    return said("".join(model.stream([QUESTION, llm.Image.from_url(image_url())]).text_stream()))


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "agent": agent,
        "completions": completions,
    }
)
