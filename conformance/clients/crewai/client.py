"""crewai: its own client of OpenAI's servers, and agents with tools."""

import os

os.environ["CREWAI_DISABLE_TELEMETRY"] = "true"  # on by default
os.environ["CREWAI_TRACING_ENABLED"] = "false"
os.environ["OTEL_SDK_DISABLED"] = "true"

from typing import Any, Literal

from checks import (
    BASE_URL,
    KEY,
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
from crewai import LLM, Agent
from crewai.tools import tool
from pydantic import BaseModel

model = LLM(model=f"openai/{MODEL}", base_url=BASE_URL, api_key=KEY)


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


def _agent(**options: Any) -> Agent:
    return Agent(role="Helper", goal="Help.", backstory="You are helpful.", llm=model, **options)


def _asked() -> list[Any]:
    parts = [
        {"type": "text", "text": PRICE_QUESTION},
        {"type": "image_url", "image_url": {"url": image_url()}},
    ]
    return [{"role": "user", "content": parts}]


def default() -> str:
    """An agent's answer."""
    return said(_agent().kickoff("Who are you?").raw)


def picture() -> str:
    """A question about an image, to the model itself."""
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": {"url": image_url()}}]
    return said(model.call([{"role": "user", "content": parts}]))


def stream() -> str:
    """A streamed answer, put together by its client."""
    streaming = LLM(model=f"openai/{MODEL}", base_url=BASE_URL, api_key=KEY, stream=True)
    return said(streaming.call("Who are you?"))


def structured() -> str:
    """A model of Pydantic's as the form of an agent's answer."""
    output = _agent().kickoff("Name a shape.", response_format=Shape).pydantic
    assert isinstance(output, Shape), output
    return repr(output)


def model_agent() -> str:
    """A question about an image to the model itself, with a tool that it may call, not must: what that
    returns is the answer.
    """
    parameters = {"type": "object", "properties": {"color": {"type": "string"}, "shape": {"type": "string"}}}
    toy = {"name": "shape_price", "description": shape_price.__doc__, "parameters": parameters}
    answer = model.call(_asked(), tools=[toy], available_functions={"shape_price": shape_price})
    return priced(answer)


def agent() -> str:
    """An agent's loop about an image, with tools that it may call."""
    helper = _agent(tools=[tool(shape_price), tool(book_price)], max_iter=4)
    return priced(helper.kickoff(_asked()).raw)


def responses() -> str:
    """The same over `/v1/responses`."""
    over_responses = LLM(model=f"openai/{MODEL}", base_url=BASE_URL, api_key=KEY, api="responses")
    return said(over_responses.call("Who are you?"))


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "model_agent": model_agent,
        "agent": agent,
        "responses": responses,
    }
)
