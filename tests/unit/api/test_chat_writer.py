"""One answer, whole or as events."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace

from phiserve.answer import Answer
from phiserve.api.chat_writer import AnswerHead, ChunkWriter, collect
from phiserve.chat.vocabulary import Vocabulary
from phiserve.engine.interface import Delta
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.chat_completion import ChatCompletionChunk, ChunkChoice, ChunkDelta
from phiserve.protocol.events import DONE, event
from scripted import delta


def head(**fields: object) -> AnswerHead:
    """What the answer to a request with these fields begins with."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    return AnswerHead.of("id", "m", ChatCompletionRequest.model_validate(body | fields))


def answer(vocabulary: Vocabulary) -> Answer:
    return Answer([1, 2], 0, vocabulary)


def writer(vocabulary: Vocabulary, **fields: object) -> ChunkWriter:
    """A writer for a streamed request with these fields."""
    return ChunkWriter(answer(vocabulary), head(stream=True, **fields))


def parsed(events: bytes) -> list[dict[str, object]]:
    """What the events hold."""
    return [json.loads(one.removeprefix(b"data: ")) for one in events.split(b"\n\n") if one]


def test_finish_reason_comes_alone(vocabulary: Vocabulary) -> None:
    """Role, text and end are three events, even if they come in one delta."""
    events = parsed(writer(vocabulary).feed(delta("a", ids=[5], finish="stop")))
    assert [one["choices"] for one in events] == [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    ]


def test_usage_only_on_request(vocabulary: Vocabulary) -> None:
    """The end mark alone, or after a chunk without choices."""
    assert writer(vocabulary).end() == DONE
    events = writer(vocabulary, stream_options={"include_usage": True}).end()
    assert events.endswith(DONE)
    assert parsed(events.removesuffix(DONE))[0]["choices"] == []


@pytest.mark.parametrize("text", ["plain", "", "\0", 'quotes " and \\', "日本 🙂", "\u2028", "\ud7ff"])
def test_text_that_is_written_the_short_way_is_encoded_as_a_whole_chunk_is(
    vocabulary: Vocabulary, text: str
) -> None:
    """Byte for byte, for every choice."""
    events = writer(vocabulary)
    for index in (0, 3):
        first = events.feed(delta("x", index=index, ids=[5]))
        chunk = msgspec.json.decode(first.split(b"data: ")[2], type=ChatCompletionChunk)
        wanted = replace(chunk, choices=[ChunkChoice(index, ChunkDelta(content=text))])
        assert events.feed(delta(text, index=index, ids=[6])) == event(wanted)


def test_a_delta_of_nothing_is_no_event(vocabulary: Vocabulary) -> None:
    events = writer(vocabulary)
    events.feed(delta("a", ids=[5]))
    assert events.feed(delta("")) == b""


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

    completion = asyncio.run(collect(answer(vocabulary), deltas(), head(n=2)))
    assert [(c.index, c.message.content, c.finish_reason) for c in completion.choices] == [
        (0, "a?", "stop"),
        (1, "b!", "length"),
    ]
    assert (completion.id, completion.model, completion.usage.prompt_tokens) == ("id", "m", 2)


CALL = ' functools[{"name":"f","arguments":{"a":1}}]'


def test_calls_and_text_of_several_choices(vocabulary: Vocabulary) -> None:
    """Each choice of an answer that may call tools is read by itself, streamed or whole."""

    async def deltas() -> AsyncIterator[Delta]:
        for item in (delta(CALL[:20]), delta(" Hi", index=1), delta(CALL[20:], finish="stop")):
            yield item
        yield delta("!", index=1, finish="stop")

    calling = replace_calls(head())
    completion = asyncio.run(collect(answer(vocabulary), deltas(), calling))
    called, text = completion.choices
    assert (called.message.content, called.finish_reason) == (None, "tool_calls")
    assert (text.message.content, text.finish_reason) == ("Hi!", "stop")
    events = ChunkWriter(answer(vocabulary), calling)
    first = parsed(events.feed(delta(CALL[:-2]))) + parsed(events.feed(delta(" Hi", index=1)))
    assert [list(choice["delta"]) for one in first for choice in one["choices"]] == [  # type: ignore[attr-defined]
        ["role", "content", "tool_calls"],
        ["tool_calls"],
        ["role", "content"],
        ["content"],
    ]


def replace_calls(begun: AnswerHead) -> AnswerHead:
    """The same of an answer that may call tools."""
    return dataclasses.replace(begun, calls_as="tool_calls")


def test_calls_have_no_log_probabilities(vocabulary: Vocabulary) -> None:
    """They are no content."""

    async def deltas() -> AsyncIterator[Delta]:
        yield delta(CALL, finish="stop")

    whole = Answer([1], 0, vocabulary, top_logprobs=1)
    completion = asyncio.run(collect(whole, deltas(), replace_calls(head(logprobs=True))))
    assert completion.choices[0].logprobs is None
