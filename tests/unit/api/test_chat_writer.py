"""Events of a stream, one writer for each answer."""

import json

import msgspec
import pytest
from msgspec.structs import replace
from phiserve.api.chunks import DONE, ChunkWriter, error_response, event
from phiserve.protocol.responses import ChatCompletionChunk, ChunkChoice, ChunkDelta

from phiserve.answer import Answer
from phiserve.chat.vocabulary import Vocabulary
from phiserve.errors import InvalidRequest
from phiserve.pipeline import PreparedChat
from phiserve.protocol.chat import ChatCompletionRequest
from scripted import delta


def writer(vocabulary: Vocabulary, **fields: object) -> ChunkWriter:
    """A writer for a request with these fields."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    request = ChatCompletionRequest.model_validate(body | fields)
    return ChunkWriter(Answer(PreparedChat("id", request, [1], (), 9), vocabulary), "m")


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


def test_error_event() -> None:
    """An error in mid-stream has the envelope that an error response has."""
    assert parsed(event(error_response(InvalidRequest("m", param="p")))) == [
        {"error": {"message": "m", "type": "invalid_request_error", "param": "p", "code": "invalid_value"}}
    ]
