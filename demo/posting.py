"""Questions of the exam as a client posts them."""

import base64
from io import BytesIO
from typing import Any

from PIL import Image

from demo.exam import Question

STREAMS = 8
"""Questions asked at once."""

LONGEST_ANSWER = 160
"""Tokens of an answer at most; right ones have fewer."""


def messages(question: Question, *, question_first: bool = False) -> list[Any]:
    """The question as OpenAI messages with PNGs as data URLs."""
    turns: list[Any] = []
    asked = [*(earlier for earlier, _ in question.earlier), question.question]
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": data_url(picture)}} for picture in question.pictures
    ]
    text = {"type": "text", "text": asked[0]}
    turns.append({"role": "user", "content": [text, *parts] if question_first else [*parts, text]})
    for (_, answer), following in zip(question.earlier, asked[1:], strict=True):
        turns += [{"role": "assistant", "content": answer}, {"role": "user", "content": following}]
    return turns


def data_url(picture: Image.Image, kind: str = "PNG", **options: Any) -> str:
    """A picture as a data: URL."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
