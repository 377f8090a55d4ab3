"""Ask several questions about one image at the same time, with the asynchronous openai client.

usage: python openai_async.py image.png "What is it?" "Which colours do you see?"
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import asyncio
import base64
import mimetypes
import os
import sys
from pathlib import Path

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionContentPartImageParam


def data_url(path: str) -> str:
    """An image file as a data URL."""
    media_type = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


async def main(path: str, *questions: str) -> None:
    """The image is sent with every question, and decoded by the server only once."""
    image: ChatCompletionContentPartImageParam = {
        "type": "image_url",
        "image_url": {"url": data_url(path), "detail": "high"},
    }
    async with AsyncOpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        # Any word will do, unless the server was started with a key.
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    ) as client:
        model = (await client.models.list()).data[0].id

        async def ask(question: str) -> str:
            """One question about the image."""
            completion = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": [image, {"type": "text", "text": question}]}],
                max_tokens=50,
            )
            return completion.choices[0].message.content or ""

        for question, answer in zip(questions, await asyncio.gather(*map(ask, questions)), strict=True):
            print(f"{question}\n  {answer}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
