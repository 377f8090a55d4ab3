"""Have an image described as an object of a pydantic class, with the openai client.

usage: python openai_structured.py image.png
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import base64
import mimetypes
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from openai import LengthFinishReasonError, OpenAI
from pydantic import BaseModel, Field


class Description(BaseModel):
    """What the answer holds. Everything in it is bounded, so that no answer goes on for ever."""

    kind: Literal["chart", "book cover", "photograph", "something else"]
    colours: Annotated[
        list[Literal["red", "green", "blue", "grey", "other"]], Field(min_length=1, max_length=3)
    ]
    people: Annotated[int, Field(ge=0, le=99)]
    caption: Annotated[str, Field(max_length=30)]


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def main(image: str) -> None:
    """The server lets the model say only what fits the class, however weak the model is."""
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        # Any word will do, unless the server was started with a key.
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    try:
        completion = client.chat.completions.parse(
            model=client.models.list().data[0].id,
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": data_url(image)}},
                        {"type": "text", "text": "Describe the image."},
                    ],
                }
            ],
            response_format=Description,
            max_tokens=400,
        )
    except LengthFinishReasonError as error:
        # JSON that was cut off has no meaning: raise max_tokens, or bound the class more tightly
        sys.exit(f"The answer did not end within max_tokens: {error.completion.choices[0].message.content}")
    print(repr(completion.choices[0].message.parsed))


if __name__ == "__main__":
    main(*sys.argv[1:])
