"""Ask several questions about one picture at the same time, with the asynchronous openai client.

usage: python clients/openai_async.py picture.png "What is it?" "Which colours do you see?"
"""

import asyncio
import os
import sys
from typing import Any

from openai import AsyncOpenAI
from openai_vision import data_url


async def main(picture: str, *questions: str) -> None:
    """The picture is sent with every question, and decoded by the server only once."""
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    async with AsyncOpenAI(base_url=base_url, api_key="none") as client:
        model = (await client.models.list()).data[0].id
        image: Any = {"type": "image_url", "image_url": {"url": data_url(picture), "detail": "high"}}

        async def ask(question: str) -> str:
            """One question about the picture."""
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
