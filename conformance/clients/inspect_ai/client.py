"""inspect-ai: tasks with its `openai/` and `openai-api/` models, chat completions and responses."""

import os
from typing import Any, Literal

from checks import BASE_URL, IMAGE, KEY, MODEL, QUESTION, run, said

os.environ["PHISERVE_BASE_URL"] = BASE_URL
os.environ["PHISERVE_API_KEY"] = KEY

from inspect_ai import Task
from inspect_ai import eval as run_task
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    ResponseSchema,
    get_model,
)
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, ToolFunction, tool
from inspect_ai.util import json_schema
from pydantic import BaseModel

OPENAI, OPENAI_API = f"openai/{MODEL}", f"openai-api/phiserve/{MODEL}"
PICTURE = [
    ChatMessageUser(content=[ContentText(text=QUESTION), ContentImage(image=str(IMAGE.resolve()))]),
]


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: str
    red: bool


@tool
def draw() -> Tool:
    """A tool that takes a number."""

    async def execute(count: Literal[1, 2, 3]) -> str:
        """Draws so many shapes.

        Args:
            count: How many.
        """
        return f"{count} drawn"

    return execute


def _solve(model: str | Model, sample: Any, solver: Any = None, **config: Any) -> Any:
    """The only sample of an evaluation that must end well."""
    task = Task(dataset=[Sample(input=sample, target="red")], solver=solver or generate(), scorer=includes())
    (log,) = run_task(task, model=model, display="none", log_dir="logs", **config)
    assert log.status == "success", log.error
    assert log.results is not None, log
    assert log.results.scores, log
    assert log.samples is not None, log
    return log.samples[0]


def default() -> str:
    """A question, by both of its providers for such servers."""
    return " | ".join(said(_solve(model, "Who are you?").output.completion) for model in (OPENAI, OPENAI_API))


def picture() -> str:
    """A question about an image, by both."""
    return " | ".join(said(_solve(model, PICTURE).output.completion) for model in (OPENAI, OPENAI_API))


def stream() -> str:
    """Streamed, which its provider for such servers can."""
    return said(_solve(get_model(OPENAI_API, stream=True), "Who are you?").output.completion)


def structured() -> str:
    """A schema as the form of the answer."""
    schema = ResponseSchema(name="shape", json_schema=json_schema(Shape))
    config = GenerateConfig(response_schema=schema)
    answer = _solve(get_model(OPENAI, config=config), "Name a shape.")
    return repr(Shape.model_validate_json(answer.output.completion))


def _with_tools(model: str | Model) -> str:
    choice = ToolFunction(name="draw")
    sample = _solve(model, "Draw something.", [use_tools(draw(), tool_choice=choice), generate("single")])
    (result, *_) = [message for message in sample.messages if message.role == "tool"]
    assert result.error is None, result.error
    assert result.text.endswith("drawn"), result.text
    return str(result.text)


def tools() -> str:
    """A tool that must be called, by both; it runs with the arguments of the call."""
    return " | ".join(map(_with_tools, (OPENAI, OPENAI_API)))


def tool_loop() -> str:
    """Its default loop: tools that may be called, until the model answers."""
    sample = _solve(OPENAI, "Draw something.", [use_tools(draw()), generate()], message_limit=8)
    return f"{len(sample.messages)} messages"


def responses() -> str:
    """By responses: a question about an image, and a tool that must be called."""
    model = get_model(OPENAI, responses_api=True)
    return f"{said(_solve(model, PICTURE).output.completion)} | {_with_tools(model)}"


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "tools": tools,
        "tool_loop": tool_loop,
        "responses": responses,
    }
)
