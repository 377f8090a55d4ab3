"""A conversation in the terminal with the openai client.

Every answer is streamed, and remembered for the next question.

usage: python openai_streaming.py "What is a heron?" "And what does it eat?"
       OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1
"""

import os
import sys

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam


def main(*questions: str) -> None:
    """Each question is asked with all that was said before."""
    client = OpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        # Any word will do, unless the server was started with a key.
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
    )
    model = client.models.list().data[0].id
    messages: list[ChatCompletionMessageParam] = []
    for question in questions:
        print(f"> {question}")
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer(client, model, messages)})


def answer(client: OpenAI, model: str, messages: list[ChatCompletionMessageParam]) -> str:
    """Print an answer as it arrives.

    Leaving the `with` block early, e.g. by ctrl-C, stops the server's work on it.
    """
    text = ""
    with client.chat.completions.create(model=model, messages=messages, max_tokens=50, stream=True) as stream:
        for chunk in stream:
            piece = chunk.choices[0].delta.content or ""
            print(piece, end="", flush=True)
            text += piece
    print()
    return text


if __name__ == "__main__":
    main(*sys.argv[1:])
