"""LlamaIndex: `OpenAILike`, as text completions by default and as a chat model with tools."""

from typing import Any, Literal

from checks import (
    BASE_URL,
    IMAGE,
    KEY,
    MODEL,
    PRICE_QUESTION,
    QUESTION,
    book_price,
    priced,
    run,
    said,
    shape_price,
)
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike, OpenAILikeResponses
from pydantic import BaseModel

called: list[str] = []
text_model = OpenAILike(model=MODEL, api_base=BASE_URL, api_key=KEY)
chat_model = OpenAILike(
    model=MODEL, api_base=BASE_URL, api_key=KEY, is_chat_model=True, is_function_calling_model=True
)


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


def draw(shape: Literal["circle", "square", "triangle"]) -> str:
    """Draws a shape."""
    called.append(shape)
    return "drawn"


def default() -> str:
    """A chat by text completions, which is the default."""
    answer = text_model.chat([ChatMessage(content="Who are you?")], max_tokens=16)
    assert isinstance(answer.message.content, str)
    return repr(answer.message.content)


def picture() -> str:
    """A question about an image."""
    blocks: list[Any] = [TextBlock(text=QUESTION), ImageBlock(path=IMAGE)]
    return said(chat_model.chat([ChatMessage(blocks=blocks)]).message.content)


def stream() -> str:
    """The deltas of an answer, put together."""
    deltas = chat_model.stream_chat([ChatMessage(content="Who are you?")])
    return said("".join(piece.delta or "" for piece in deltas))


def structured() -> str:
    """An object by a tool that must be called."""
    output = chat_model.as_structured_llm(Shape).complete("Name a shape.").raw
    assert isinstance(output, Shape), output
    return repr(output)


def tools() -> str:
    """A tool that must be called, predicted and executed."""
    called.clear()
    answer = chat_model.predict_and_call(
        [FunctionTool.from_defaults(draw)], user_msg="Draw a shape.", tool_required=True
    )
    assert called, "the tool was not called"
    return f"called with {called}, {answer.response!r}"


async def agent() -> str:
    """A streamed loop about an image, with tools that it may call."""
    helper = FunctionAgent(tools=[shape_price, book_price], llm=chat_model)
    blocks: list[Any] = [TextBlock(text=PRICE_QUESTION), ImageBlock(path=IMAGE)]
    return priced(str(await helper.run(ChatMessage(blocks=blocks), max_iterations=4)))


def responses() -> str:
    """The same model over `/v1/responses`."""
    model = OpenAILikeResponses(model=MODEL, api_base=BASE_URL, api_key=KEY)
    return said(model.chat([ChatMessage(content="Who are you?")]).message.content)


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
