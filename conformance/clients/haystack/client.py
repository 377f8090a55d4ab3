"""Haystack: its generators of OpenAI's chat completions and responses, and its agent."""

import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # on by default

from typing import Annotated, Literal

from checks import (
    BASE_URL,
    IMAGE,
    MODEL,
    PRICE_QUESTION,
    QUESTION,
    book_price,
    priced,
    run,
    said,
    shape_price,
)
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator, OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, ImageContent, StreamingChunk
from haystack.tools import create_tool_from_function, tool
from pydantic import BaseModel

called: list[str] = []
generator = OpenAIChatGenerator(model=MODEL, api_base_url=BASE_URL)


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


@tool
def draw(shape: Annotated[Literal["circle", "square", "triangle"], "Which one."]) -> str:
    """Draws a shape."""
    called.append(shape)
    return "drawn"


def _user(text: str) -> list[ChatMessage]:
    return [ChatMessage.from_user(text)]


def default() -> str:
    """A question."""
    return said(generator.run(_user("Who are you?"))["replies"][0].text)


def picture() -> str:
    """A question about an image."""
    message = ChatMessage.from_user(content_parts=[QUESTION, ImageContent.from_file_path(IMAGE)])
    return said(generator.run([message])["replies"][0].text)


def stream() -> str:
    """The pieces that its callback gets are the answer."""
    pieces: list[StreamingChunk] = []
    reply = generator.run(_user("Who are you?"), streaming_callback=pieces.append)["replies"][0].text
    assert "".join(piece.content for piece in pieces) == reply
    return said(reply)


def structured() -> str:
    """A model of Pydantic's as the form of the answer."""
    reply = generator.run(_user("Name a shape."), generation_kwargs={"response_format": Shape})
    return repr(Shape.model_validate_json(reply["replies"][0].text))


def tools() -> str:
    """An agent that must call its tool, for so many steps as it may take."""
    called.clear()
    forced = OpenAIChatGenerator(
        model=MODEL, api_base_url=BASE_URL, generation_kwargs={"tool_choice": "required"}
    )
    result = Agent(chat_generator=forced, tools=[draw], max_agent_steps=2).run(_user("Draw a shape."))
    assert called, "the tool was not called"
    return f"called with {called}, {len(result['messages'])} messages"


def agent() -> str:
    """A loop about an image, with tools that it may call."""
    toys = [create_tool_from_function(shape_price), create_tool_from_function(book_price)]
    message = ChatMessage.from_user(content_parts=[PRICE_QUESTION, ImageContent.from_file_path(IMAGE)])
    result = Agent(chat_generator=generator, tools=toys, max_agent_steps=4).run([message])
    return priced(result["messages"][-1].text)


def responses() -> str:
    """The same over `/v1/responses`."""
    over_responses = OpenAIResponsesChatGenerator(model=MODEL, api_base_url=BASE_URL)
    return said(over_responses.run(_user("Who are you?"))["replies"][0].text)


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "agent": agent,
        "responses": responses,
    }
)
