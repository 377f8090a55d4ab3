"""LiteLLM as a library: chat completions, responses and text completions by `openai/…`."""

import json
import os
from typing import Any, Literal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would download a list of prices
os.environ["LITELLM_TELEMETRY"] = "False"

import litellm
from checks import BASE_URL, MODEL, QUESTION, image_url, run, said
from pydantic import BaseModel

NAME = f"openai/{MODEL}"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "draw",
        "description": "Draws a shape.",
        "parameters": {
            "type": "object",
            "properties": {"shape": {"enum": ["circle", "square"]}},
            "required": ["shape"],
        },
    },
}


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


def _ask(content: Any, **options: Any) -> Any:
    return litellm.completion(NAME, [{"role": "user", "content": content}], **options)


def default() -> str:
    """A question."""
    return said(_ask("Who are you?").choices[0].message.content)


def picture() -> str:
    """A question about an image."""
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": image_url()}}]
    return said(_ask(parts).choices[0].message.content)


def stream() -> str:
    """The chunks of an answer, put together by its own builder."""
    chunks = list(_ask("Who are you?", stream=True))
    return said(litellm.stream_chunk_builder(chunks).choices[0].message.content)


def structured() -> str:
    """A model of Pydantic's as the form of the answer."""
    answer = _ask("Name a shape.", response_format=Shape)
    return repr(Shape.model_validate_json(answer.choices[0].message.content))


def tools() -> str:
    """A tool that must be called, and the answer to its result."""
    question = {"role": "user", "content": "Draw something."}
    message = litellm.completion(NAME, [question], tools=[TOOL], tool_choice="required").choices[0].message
    arguments = [json.loads(call.function.arguments) for call in message.tool_calls]
    assert all(given["shape"] in ("circle", "square") for given in arguments), arguments
    results = [{"role": "tool", "tool_call_id": call.id, "content": "drawn"} for call in message.tool_calls]
    answer = litellm.completion(NAME, [question, message, *results], tools=[TOOL])
    return f"called with {arguments}, {answer.choices[0].message.content!r}"


def responses() -> str:
    """A response."""
    response: Any = litellm.responses(model=NAME, input="Who are you?")
    return said(response.output[0].content[0].text)


def messages() -> str:
    """Anthropic's messages, which it translates to responses."""
    answer: Any = litellm.anthropic.messages.create(
        model=NAME, messages=[{"role": "user", "content": "Who are you?"}], max_tokens=100
    )
    return said(answer["content"][0]["text"])


def text() -> str:
    """A text completion."""
    answer: Any = litellm.text_completion(
        model=f"text-completion-openai/{MODEL}", prompt="There is a red", api_base=BASE_URL, max_tokens=8
    )
    assert answer.choices[0].finish_reason in ("stop", "length")
    return repr(answer.choices[0].text)


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "responses": responses,
        "messages": messages,
        "text": text,
    }
)
