"""pydantic-ai: agents by `openai:`, which means `/v1/responses`, and by `openai-chat:`."""

from collections.abc import Callable
from typing import Any, Literal

from checks import IMAGE, MODEL, PRICE_QUESTION, QUESTION, book_price, priced, run, said, shape_price
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelSettings, RunContext, ToolOutput
from pydantic_ai.capabilities import AbstractCapability

called: list[str] = []


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


class DrawFirst(AbstractCapability[None]):
    """The first step must call the tool; pydantic-ai's own way to say so."""

    def get_model_settings(self) -> Callable[[RunContext[None]], ModelSettings]:
        """Settings by the step of a run."""
        return lambda context: (
            ModelSettings(tool_choice=["draw"]) if context.run_step == 1 else ModelSettings()
        )


def draw(shape: Literal["circle", "square", "triangle"]) -> str:
    """Draws a shape.

    Args:
        shape: Which one.
    """
    called.append(shape)
    return "drawn"


async def default() -> str:
    """An agent with instructions."""
    agent = Agent(f"openai:{MODEL}", instructions="You are helpful.")
    return said((await agent.run("Who are you?")).output)


async def picture() -> str:
    """An agent that is shown an image."""
    image = BinaryContent(IMAGE.read_bytes(), media_type="image/png")
    return said((await Agent(f"openai:{MODEL}").run([QUESTION, image])).output)


async def stream() -> str:
    """The deltas of a run are its answer."""
    return await _streamed("openai")


async def structured() -> str:
    """The default of structured output, a tool that ends the run."""
    return await _structured("openai", Shape)


async def tools() -> str:
    """A tool that must be called first."""
    return await _tools("openai")


async def agent() -> str:
    """A loop about an image, with tools that it may call."""
    image = BinaryContent(IMAGE.read_bytes(), media_type="image/png")
    helper = Agent(f"openai:{MODEL}", tools=[shape_price, book_price])
    return priced((await helper.run([PRICE_QUESTION, image])).output)


async def chat_picture() -> str:
    """Chat completions about an image."""
    image = BinaryContent(IMAGE.read_bytes(), media_type="image/png")
    return said((await Agent(f"openai-chat:{MODEL}").run([QUESTION, image])).output)


async def chat_stream() -> str:
    """Streamed chat completions."""
    return await _streamed("openai-chat")


async def chat_structured() -> str:
    """Structured output of chat completions, named as a tool with its own description."""
    return await _structured("openai-chat", ToolOutput(Shape, description="A shape."))


async def chat_tools() -> str:
    """Tools over chat completions."""
    return await _tools("openai-chat")


async def _streamed(provider: str) -> str:
    async with Agent(f"{provider}:{MODEL}").run_stream("Who are you?") as result:
        text = "".join([delta async for delta in result.stream_text(delta=True)])
        assert text.strip() == (await result.get_output()).strip()
    return said(text)


async def _structured(provider: str, output_type: Any) -> str:
    output = (await Agent(f"{provider}:{MODEL}", output_type=output_type).run("Name a shape.")).output
    assert isinstance(output, Shape), output
    return repr(output)


async def _tools(provider: str) -> str:
    called.clear()
    agent = Agent(f"{provider}:{MODEL}", tools=[draw], capabilities=[DrawFirst()])
    result = await agent.run("Draw a shape.")
    assert called, "the tool was not called"
    return f"called with {called}, {result.output!r}"


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "agent": agent,
        "chat_picture": chat_picture,
        "chat_stream": chat_stream,
        "chat_structured": chat_structured,
        "chat_tools": chat_tools,
    }
)
