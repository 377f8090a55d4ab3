"""LangChain: its chat model of OpenAI's, bound tools, structured output and an agent."""

import os

os.environ["LANGSMITH_TRACING"] = "false"  # off by default; a user's own environment may have it on

from typing import Literal

from checks import MODEL, PRICE_QUESTION, QUESTION, book_price, image_url, priced, run, said, shape_price
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

called: list[str] = []
model = ChatOpenAI(model=MODEL)


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


@tool
def draw(shape: Literal["circle", "square", "triangle"]) -> str:
    """Draws a shape."""
    called.append(shape)
    return "drawn"


def default() -> str:
    """A question."""
    return said(model.invoke("Who are you?").text)


def picture() -> str:
    """A question about an image."""
    parts = [
        {"type": "text", "text": QUESTION},
        {"type": "image_url", "image_url": {"url": image_url()}},
    ]
    return said(model.invoke([HumanMessage(parts)]).text)


def stream() -> str:
    """The chunks of an answer, put together."""
    return said("".join(chunk.text for chunk in model.stream("Who are you?")))


def structured() -> str:
    """The default method, a JSON schema, and the one of tools."""
    outputs = [
        model.with_structured_output(Shape).invoke("Name a shape."),
        model.with_structured_output(Shape, method="function_calling").invoke("Name a shape."),
    ]
    assert all(isinstance(output, Shape) for output in outputs), outputs
    return repr(outputs)


def tools() -> str:
    """A tool that must be called, and the answer to its result."""
    question = HumanMessage("Draw something.")
    answer = model.bind_tools([draw], tool_choice="required").invoke([question])
    assert answer.tool_calls, answer
    results: list[ToolMessage] = [draw.invoke(call) for call in answer.tool_calls]
    last = model.bind_tools([draw]).invoke([question, answer, *results])
    return f"called with {[call['args'] for call in answer.tool_calls]}, {last.text!r}"


def agent() -> str:
    """A loop about an image, with tools that it may call."""
    parts = [
        {"type": "text", "text": PRICE_QUESTION},
        {"type": "image_url", "image_url": {"url": image_url()}},
    ]
    helper = create_agent(model, tools=[shape_price, book_price])
    return priced(helper.invoke({"messages": [HumanMessage(parts)]})["messages"][-1].text)


def agent_structured() -> str:
    """An agent whose last answer is a tool that must be called, once: the embedded model does not
    know when it has called often enough.
    """
    once = ChatOpenAI(model=MODEL, model_kwargs={"parallel_tool_calls": False})
    result = create_agent(once, response_format=Shape).invoke({"messages": [HumanMessage("Name a shape.")]})
    output = result["structured_response"]
    assert isinstance(output, Shape), output
    return repr(output)


def responses() -> str:
    """The same model over `/v1/responses`, streamed."""
    over_responses = ChatOpenAI(model=MODEL, use_responses_api=True)
    return said("".join(chunk.text for chunk in over_responses.stream("Who are you?")))


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "agent": agent,
        "agent_structured": agent_structured,
        "responses": responses,
    }
)
