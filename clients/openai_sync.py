"""Ask about an image with the openai client, and wait for the whole answer.

usage: python openai_sync.py image.png "What does the image show?"
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import base64
import mimetypes
import os
import sys
from pathlib import Path

from openai import OpenAI


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def main(image: str, question: str) -> None:
    """Print the answer, why it ended, and what it cost."""
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        # Any word will do, unless the server was started with a key.
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    completion = client.chat.completions.create(
        model=client.models.list().data[0].id,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": data_url(image)}},
                    {"type": "text", "text": question},
                ],
            }
        ],
        max_tokens=100,
    )
    choice = completion.choices[0]
    print(choice.message.content)
    if choice.finish_reason == "length":
        print("(cut off at max_tokens)")
    print(completion.usage, file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
