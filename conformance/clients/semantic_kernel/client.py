"""Semantic Kernel: its chat completion of OpenAI's, with functions of a plugin, and its agents."""

from typing import Annotated, Literal

from checks import IMAGE, MODEL, PRICE_QUESTION, QUESTION, book_price, priced, run, said, shape_price
from openai import AsyncOpenAI
from pydantic import BaseModel
from semantic_kernel import Kernel
from semantic_kernel.agents import ChatCompletionAgent, OpenAIResponsesAgent
from semantic_kernel.connectors.ai.function_choice_behavior import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion, OpenAIChatPromptExecutionSettings
from semantic_kernel.contents import ChatHistory, ChatMessageContent, ImageContent, TextContent
from semantic_kernel.functions import kernel_function

called: list[bool] = []
service = OpenAIChatCompletion(ai_model_id=MODEL, async_client=AsyncOpenAI())


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


class Drawing:
    """A plugin of one function."""

    @kernel_function(description="Draws a shape.")
    def draw(self, red: Annotated[bool, "Whether in red."]) -> str:
        """Draws a shape."""
        called.append(red)
        return "drawn"


def _asked(text: str) -> ChatHistory:
    history = ChatHistory()
    history.add_user_message(text)
    return history


async def _answer(history: ChatHistory, **options: object) -> str:
    settings = OpenAIChatPromptExecutionSettings(**options)
    return str(await service.get_chat_message_content(history, settings))


async def default() -> str:
    """A question."""
    return said(await _answer(_asked("Who are you?")))


async def picture() -> str:
    """A question about an image."""
    history = ChatHistory()
    parts = [TextContent(text=QUESTION), ImageContent.from_image_file(str(IMAGE))]
    history.add_message(ChatMessageContent(role="user", items=parts))
    return said(await _answer(history))


async def stream() -> str:
    """The pieces of an answer, put together."""
    settings = OpenAIChatPromptExecutionSettings()
    pieces = service.get_streaming_chat_message_content(_asked("Who are you?"), settings)
    return said("".join([str(piece) async for piece in pieces if piece is not None]))


async def structured() -> str:
    """A model of Pydantic's as the form of the answer."""
    return repr(Shape.model_validate_json(await _answer(_asked("Name a shape."), response_format=Shape)))


async def tools() -> str:
    """A function that must be called; it runs it and asks again."""
    called.clear()
    kernel = Kernel()
    kernel.add_plugin(Drawing(), "drawing")
    settings = OpenAIChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Required())
    answer = await service.get_chat_message_content(_asked("Draw a shape."), settings, kernel=kernel)
    assert called, "the function was not called"
    return f"called with {called}, {str(answer)!r}"


async def agent() -> str:
    """A loop about an image, with functions that it may call."""
    kernel = Kernel()
    for price in (shape_price, book_price):
        kernel.add_function("shop", kernel_function(price, description=price.__doc__))
    history = ChatHistory()
    parts = [TextContent(text=PRICE_QUESTION), ImageContent.from_image_file(str(IMAGE))]
    history.add_message(ChatMessageContent(role="user", items=parts))
    settings = OpenAIChatPromptExecutionSettings(function_choice_behavior=FunctionChoiceBehavior.Auto())
    return priced(str(await service.get_chat_message_content(history, settings, kernel=kernel)))


async def agents() -> str:
    """Its agents of chat completions and of `/v1/responses`."""
    over_chat = ChatCompletionAgent(service=service, name="Helper", instructions="You are helpful.")
    over_responses = OpenAIResponsesAgent(
        ai_model_id=MODEL, client=AsyncOpenAI(), name="Helper", instructions="You are helpful."
    )
    answers = [
        said(str((await over_chat.get_response("Who are you?")).message)),
        said(str((await over_responses.get_response("Who are you?")).message)),
    ]
    return repr(answers)


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "agent": agent,
        "agents": agents,
    }
)
