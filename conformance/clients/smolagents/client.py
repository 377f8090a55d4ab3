"""smolagents: its model of OpenAI's servers, and its agents that call tools and write code."""

import json
from typing import Any, Literal

from checks import (
    BASE_URL,
    IMAGE,
    KEY,
    MODEL,
    PRICE,
    PRICE_QUESTION,
    QUESTION,
    calls,
    image_url,
    priced,
    run,
    said,
)
from PIL import Image
from smolagents import CodeAgent, OpenAIModel, ToolCallingAgent, tool
from smolagents.models import MessageRole

called: list[str] = []
model = OpenAIModel(MODEL, api_base=BASE_URL, api_key=KEY)


@tool
def draw(shape: Literal["circle", "square", "triangle"]) -> str:
    """Draws a shape.

    Args:
        shape: Which one.
    """
    called.append(shape)
    return "drawn"


@tool
def shape_price(color: str, shape: str) -> int:
    """The price of a shape, by its color and its kind.

    Args:
        color: The color.
        shape: The kind.
    """
    calls.append(("shape_price", {"color": color, "shape": shape}))
    return PRICE


@tool
def book_price(title: str) -> int:
    """The price of a book, by its title.

    Args:
        title: The title.
    """
    calls.append(("book_price", {"title": title}))
    return PRICE


def _messages(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


def default() -> str:
    """A question."""
    return said(model.generate(_messages({"type": "text", "text": "Who are you?"})).content)


def picture() -> str:
    """A question about an image, as its agents send it."""
    image = {"type": "image_url", "image_url": {"url": image_url()}}
    return said(model.generate(_messages({"type": "text", "text": QUESTION}, image)).content)


def stream() -> str:
    """The deltas of an answer, put together."""
    deltas = model.generate_stream(_messages({"type": "text", "text": "Who are you?"}))
    return said("".join(delta.content or "" for delta in deltas))


def structured() -> str:
    """An agent that writes code in the JSON form that it asks for."""
    agent = CodeAgent([], model, use_structured_outputs_internally=True, max_steps=1)
    return f"ended with {agent.run('Say hello.')!r}"


def tools() -> str:
    """The model with a tool, which its agents always require, and with the result."""
    called.clear()
    question = {"type": "text", "text": "Draw a shape."}
    answer = model.generate(_messages(question), tools_to_call_from=[draw])
    assert answer.tool_calls, answer
    results = [draw(**json.loads(call.function.arguments)) for call in answer.tool_calls]
    assert called, "the tool was not called"
    observed = [{"type": "text", "text": f"Observation: {results}"}]
    history = [*_messages(question), {"role": MessageRole.TOOL_RESPONSE, "content": observed}]
    return f"called with {called}, {model.generate(history).content!r}"


def agent() -> str:
    """A loop about an image."""
    helper = ToolCallingAgent([shape_price, book_price], model, max_steps=3)
    return priced(helper.run(PRICE_QUESTION, images=[Image.open(IMAGE)]))


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
