"""Questions to the served model by the real openai client, and what its answers hold beyond OpenAI's keys."""

from typing import Any

import openai
from openai.types.chat import ChatCompletion

from e2e.conftest import MODEL


def user(*parts: Any) -> list[Any]:
    """A user's message of text, or of parts."""
    return [
        {"role": "user", "content": list(parts) if len(parts) > 1 or isinstance(parts[0], dict) else parts[0]}
    ]


def ask(client: openai.OpenAI, *parts: Any, **options: Any) -> ChatCompletion:
    """A short greedy answer, unless the options say otherwise."""
    options = {"max_tokens": 8, "temperature": 0} | options
    return client.chat.completions.create(model=MODEL, messages=user(*parts), **options)


def extras(completion: ChatCompletion) -> dict[str, Any]:
    """Keys the openai package does not know."""
    return (completion.model_extra or {}) | (completion.choices[0].model_extra or {})
