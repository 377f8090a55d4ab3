"""Deltas collected into one completion."""

import asyncio
from collections.abc import AsyncIterator

from phiserve.api.completion import collect

from phiserve.answer import Answer
from phiserve.chat.vocabulary import Vocabulary
from phiserve.engine.interface import Delta
from phiserve.pipeline import PreparedChat
from phiserve.protocol.chat import ChatCompletionRequest
from scripted import delta


def test_choices_in_order(vocabulary: Vocabulary) -> None:
    """Whatever order deltas come in, choices are numbered and whole."""

    async def deltas() -> AsyncIterator[Delta]:
        for item in (
            delta(" b", index=1),
            delta(" a"),
            delta("!", index=1, finish="length"),
            delta("?", finish="stop"),
        ):
            yield item

    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "n": 2}
    chat = PreparedChat("id", ChatCompletionRequest.model_validate(body), [1, 2], (), 9)
    completion = asyncio.run(collect(Answer(chat, vocabulary), deltas(), "m"))
    assert [(c.index, c.message.content, c.finish_reason) for c in completion.choices] == [
        (0, "a?", "stop"),
        (1, "b!", "length"),
    ]
    assert (completion.id, completion.model, completion.usage.prompt_tokens) == ("id", "m", 2)
