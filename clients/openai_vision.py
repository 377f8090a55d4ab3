"""Compare images with the openai client; the answer is streamed.

usage: python openai_vision.py "What is the difference between these two images?" first.png second.jpg
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import base64
import mimetypes
import os
import sys
from pathlib import Path

from openai import OpenAI
from openai.types.chat import ChatCompletionContentPartParam


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def main(question: str, *images: str) -> None:
    """Stream the answer, then print what the request cost.

    `detail` may be low, high or auto: as close as fits the context.
    """
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        # Any word will do, unless the server was started with a key.
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    content: list[ChatCompletionContentPartParam] = []
    for number, image in enumerate(images, 1):
        content.append({"type": "text", "text": f"Image {number}:"})
        content.append({"type": "image_url", "image_url": {"url": data_url(image), "detail": "auto"}})
    content.append({"type": "text", "text": question})
    stream = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[{"role": "user", "content": content}],
        max_tokens=100,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        elif chunk.usage and chunk.usage.prompt_tokens_details:
            details = chunk.usage.prompt_tokens_details
            print(
                f"\n{chunk.usage.total_tokens} tokens, {details.image_tokens} of them in images",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
