"""`llm`: its models of OpenAI-compatible servers, as `extra-openai-models.yaml` describes them."""

import json
from pathlib import Path
from typing import Literal

import llm
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
from pydantic import BaseModel

_SETTINGS = f"""- model_id: served
  model_name: {MODEL}
  api_base: {BASE_URL}
  vision: true
  supports_schema: true
  supports_tools: true
- model_id: served-responses
  model_name: {MODEL}
  api_base: {BASE_URL}
  responses: true
  vision: true
  supports_schema: true
  supports_tools: true
- model_id: served-completion
  model_name: {MODEL}
  api_base: {BASE_URL}
  completion: true
"""
Path(llm.user_dir()).mkdir(parents=True, exist_ok=True)
Path(llm.user_dir(), "extra-openai-models.yaml").write_text(_SETTINGS, encoding="utf-8")


class Shape(BaseModel):
    """What the structured answers are parsed into."""

    shape: Literal["circle", "square", "triangle"]
    red: bool


def default() -> str:
    """A question, answered whole."""
    return said(llm.get_model("served").prompt("Who are you?", stream=False, key=KEY).text())


def picture() -> str:
    """A question about an image."""
    image = llm.Attachment(path=str(IMAGE))
    return said(llm.get_model("served").prompt(QUESTION, attachments=[image], key=KEY).text())


def stream() -> str:
    """Its default: the pieces of an answer, put together."""
    return said("".join(llm.get_model("served").prompt("Who are you?", key=KEY)))


def structured() -> str:
    """An answer by a schema."""
    answer = llm.get_model("served").prompt("Name a shape.", schema=Shape, key=KEY).text()
    return repr(Shape.model_validate(json.loads(answer)))


def agent() -> str:
    """A chain about an image, with tools that the model may call; there is no way to require it."""
    image = llm.Attachment(path=str(IMAGE))
    chain = llm.get_model("served").chain(
        PRICE_QUESTION, attachments=[image], tools=[shape_price, book_price], key=KEY
    )
    return priced(chain.text())


def responses() -> str:
    """The same over `/v1/responses`."""
    return said(llm.get_model("served-responses").prompt("Who are you?", key=KEY).text())


def completions() -> str:
    """A text completion."""
    return repr(llm.get_model("served-completion").prompt("There is a red", max_tokens=8, key=KEY).text())


run(
    {
        "default": default,
        "picture": picture,
        "stream": stream,
        "structured": structured,
        "agent": agent,
        "responses": responses,
        "completions": completions,
    }
)
