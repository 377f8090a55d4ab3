"""Ask about an image with LangChain: whole, streamed, and as a typed answer.

usage: python langchain_vision.py image.png "What does the image show?"
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import base64
import mimetypes
import os
import sys
from pathlib import Path
from typing import Literal

from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic import BaseModel, SecretStr


class Image(BaseModel):
    """What the typed answer holds."""

    kind: Literal["chart", "book cover", "photograph", "something else"]
    colourful: bool


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def main(image: str, question: str) -> None:
    """One message with an image, asked three times."""
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    # Any word will do, unless the server was started with a key.
    api_key = os.environ.get("OPENAI_API_KEY", "none")
    name = OpenAI(base_url=base_url, api_key=api_key).models.list().data[0].id
    # stream_usage: LangChain asks only OpenAI's own address for the usage of a stream.
    model = ChatOpenAI(
        model=name, base_url=base_url, api_key=SecretStr(api_key), max_completion_tokens=50, stream_usage=True
    )
    message = HumanMessage(
        content=[
            {"type": "image_url", "image_url": {"url": data_url(image), "detail": "low"}},
            {"type": "text", "text": question},
        ]
    )
    answer = model.invoke([message])
    print("whole:", answer.text, answer.usage_metadata)
    print("streamed: ", end="")
    for chunk in model.stream([message]):
        print(chunk.text, end="", flush=True)
        if chunk.usage_metadata:
            print("", chunk.usage_metadata)
    print("typed:", repr(model.with_structured_output(Image, method="json_schema").invoke([message])))


if __name__ == "__main__":
    main(*sys.argv[1:])
