"""openai-python: chat completions, responses and completions."""

import json
from typing import Any, Literal

import openai
from checks import MODEL, QUESTION, image_url, run, said
from pydantic import BaseModel

client = openai.OpenAI()
SHAPES = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["count"],
    "additionalProperties": False,
}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "draw", "parameters": SHAPES, "strict": True}}
TOOL: Any = {"type": "function", "name": "draw", "parameters": SHAPES, "strict": True}


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


def default() -> str:
    """A chat completion."""
    messages: Any = [{"role": "user", "content": "Who are you?"}]
    return said(client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content)


def picture() -> str:
    """A chat completion about an image."""
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": image_url()}}]
    messages: Any = [{"role": "user", "content": parts}]
    return said(client.chat.completions.create(model=MODEL, messages=messages).choices[0].message.content)


def stream() -> str:
    """A streamed chat completion, put together by the client's helper."""
    messages: Any = [{"role": "user", "content": "Who are you?"}]
    with client.chat.completions.stream(model=MODEL, messages=messages) as events:
        return said(events.get_final_completion().choices[0].message.content)


def structured() -> str:
    """A chat completion that is parsed into a model of Pydantic's."""
    messages: Any = [{"role": "user", "content": "Name a shape."}]
    completion = client.chat.completions.parse(
        model=MODEL, messages=messages, response_format=Shape, max_tokens=200
    )
    return repr(completion.choices[0].message.parsed)


def tools() -> str:
    """A chat completion that calls a tool, and one that has its result."""
    messages: Any = [{"role": "user", "content": "Draw something."}]
    first = client.chat.completions.create(
        model=MODEL, messages=messages, tools=[CHAT_TOOL], tool_choice="required"
    )
    message = first.choices[0].message
    calls: Any = message.tool_calls
    arguments = json.loads(calls[0].function.arguments)
    assert 0 <= arguments["count"] <= 9, arguments
    messages.append(message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "drawn"} for call in calls]
    second = client.chat.completions.create(model=MODEL, messages=messages, tools=[CHAT_TOOL])
    return f"{arguments} {second.choices[0].message.content!r}"


def responses() -> str:
    """A response to an image."""
    parts = [{"type": "input_text", "text": QUESTION}, {"type": "input_image", "image_url": image_url()}]
    items: Any = [{"role": "user", "content": parts}]
    return said(client.responses.create(model=MODEL, input=items).output_text)


def responses_stream() -> str:
    """A streamed response, put together by the client's helper."""
    with client.responses.stream(model=MODEL, input="Who are you?") as events:
        return said(events.get_final_response().output_text)


def responses_structured() -> str:
    """A response that is parsed into a model of Pydantic's."""
    response = client.responses.parse(
        model=MODEL, input="Name a shape.", text_format=Shape, max_output_tokens=200
    )
    return repr(response.output_parsed)


def responses_tools() -> str:
    """A response that calls a tool, and one that goes on from it with the result."""
    first = client.responses.create(
        model=MODEL, input="Draw something.", tools=[TOOL], tool_choice="required"
    )
    calls = [item for item in first.output if item.type == "function_call"]
    arguments = json.loads(calls[0].arguments)
    assert 0 <= arguments["count"] <= 9, arguments
    results: Any = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "drawn"} for call in calls
    ]
    second = client.responses.create(model=MODEL, previous_response_id=first.id, input=results, tools=[TOOL])
    return f"{arguments} {second.output_text!r}"


def completions() -> str:
    """A text completion."""
    completion = client.completions.create(model=MODEL, prompt="There is a red", max_tokens=8)
    assert completion.choices[0].finish_reason in ("stop", "length")
    return repr(completion.choices[0].text)


def models() -> str:
    """The list of models has ours."""
    names = [model.id for model in client.models.list()]
    assert MODEL in names, names
    return ", ".join(names)


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "responses": responses,
        "responses_stream": responses_stream,
        "responses_structured": responses_structured,
        "responses_tools": responses_tools,
        "completions": completions,
        "models": models,
    }
)
