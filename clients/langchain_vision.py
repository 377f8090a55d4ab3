"""Ask about a picture with LangChain: streamed, then as a typed answer, through a chain.

usage: python clients/langchain_vision.py picture.png "What does the picture show?"
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import os
import sys
from typing import Literal

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI
from openai_vision import data_url
from pydantic import BaseModel


class Picture(BaseModel):
    """What the typed answer holds."""

    kind: Literal["chart", "book cover", "photograph", "something else"]
    colourful: bool


def main(picture: str, question: str) -> None:
    """One message with a picture, asked twice."""
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    name = OpenAI(base_url=base_url, api_key="none").models.list().data[0].id
    model = ChatOpenAI(model=name, base_url=base_url, api_key=lambda: "none", max_completion_tokens=100)
    message = HumanMessage(
        content=[
            {"type": "image_url", "image_url": {"url": data_url(picture), "detail": "low"}},
            {"type": "text", "text": question},
        ]
    )
    for chunk in model.stream([message]):
        print(chunk.text, end="", flush=True)
    print()
    print(repr(model.with_structured_output(Picture, method="json_schema").invoke([message])))


if __name__ == "__main__":
    main(*sys.argv[1:])
