"""openai-agents: agents over `/v1/responses`, its default, and over chat completions."""

import os

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"  # it would send traces to OpenAI

from typing import Literal

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    RunResultStreaming,
    function_tool,
)
from checks import (
    MODEL,
    PRICE_QUESTION,
    QUESTION,
    book_price,
    image_url,
    priced,
    run,
    said,
    shape_price,
)
from openai import AsyncOpenAI
from pydantic import BaseModel

called: list[str] = []


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


@function_tool
def draw(shape: Literal["circle", "square", "triangle"]) -> str:
    """Draws a shape.

    Args:
        shape: Which one.
    """
    called.append(shape)
    return "drawn"


def over_chat() -> OpenAIChatCompletionsModel:
    """The model by its chat completions."""
    return OpenAIChatCompletionsModel(MODEL, AsyncOpenAI())


async def default() -> str:
    """An agent with instructions."""
    agent = Agent("Helper", instructions="You are helpful.", model=MODEL)
    return said((await Runner.run(agent, "Who are you?")).final_output)


async def picture() -> str:
    """An agent that is shown an image."""
    parts = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "image_url": image_url()}]
    result = await Runner.run(Agent("Helper", model=MODEL), [{"role": "user", "content": parts}])
    return said(result.final_output)


async def stream() -> str:
    """A streamed run: the deltas are the answer."""
    return await streamed(Runner.run_streamed(Agent("Helper", model=MODEL), "Who are you?"))


async def streamed(result: RunResultStreaming) -> str:
    """The deltas of a run, which are its answer."""
    text = ""
    async for event in result.stream_events():
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
            text += event.data.delta
    assert text == result.final_output, (text, result.final_output)
    return said(text)


async def structured() -> str:
    """An agent whose output is a model of Pydantic's."""
    agent = Agent("Helper", model=MODEL, output_type=Shape)
    output = (await Runner.run(agent, "Name a shape.")).final_output
    assert isinstance(output, Shape), output
    return repr(output)


async def tools() -> str:
    """An agent that must call its tool first; what follows has the result."""
    called.clear()
    settings = ModelSettings(tool_choice="required")
    agent = Agent("Helper", model=MODEL, tools=[draw], model_settings=settings)
    result = await Runner.run(agent, "Draw a shape.")
    assert called, "the tool was not called"
    return f"called with {called}, {result.final_output!r}"


async def chat() -> str:
    """The same over chat completions: an image, then a tool, streamed."""
    called.clear()
    parts = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "image_url": image_url()}]
    await Runner.run(Agent("Helper", model=over_chat()), [{"role": "user", "content": parts}])
    settings = ModelSettings(tool_choice="required")
    agent = Agent("Helper", model=over_chat(), tools=[draw], model_settings=settings)
    result = Runner.run_streamed(agent, "Draw a shape.")
    async for _ in result.stream_events():
        pass
    assert called, "the tool was not called"
    return f"called with {called}, {result.final_output!r}"


async def agent() -> str:
    """A loop about an image, with tools that it may call."""
    helper = Agent("Helper", model=MODEL, tools=[function_tool(shape_price), function_tool(book_price)])
    parts = [
        {"type": "input_text", "text": PRICE_QUESTION},
        {"type": "input_image", "image_url": image_url()},
    ]
    result = await Runner.run(helper, [{"role": "user", "content": parts}])
    return priced(result.final_output)


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "agent": agent,
        "chat": chat,
    }
)
