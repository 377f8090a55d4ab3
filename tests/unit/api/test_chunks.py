"""Events of a stream, one writer for each answer."""

import json

from phiserve.answer import Answer
from phiserve.api.chunks import DONE, ChunkWriter, error_response, event
from phiserve.chat.vocabulary import Vocabulary
from phiserve.errors import InvalidRequest
from phiserve.pipeline import PreparedChat
from phiserve.protocol.requests import ChatCompletionRequest
from scripted import delta


def writer(vocabulary: Vocabulary, **fields: object) -> ChunkWriter:
    """A writer for a request with these fields."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    request = ChatCompletionRequest.model_validate(body | fields)
    return ChunkWriter(Answer(PreparedChat("id", request, [1], (), 9), vocabulary), "m")


def parsed(frames: list[bytes]) -> list[dict[str, object]]:
    """What the events hold."""
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def test_finish_reason_comes_alone(vocabulary: Vocabulary) -> None:
    """Role, text and end are three events, even if they come in one delta."""
    frames = parsed(list(writer(vocabulary).feed(delta("a", ids=[5], finish="stop"))))
    assert [frame["choices"] for frame in frames] == [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    ]


def test_usage_only_on_request(vocabulary: Vocabulary) -> None:
    """The end mark alone, or after a chunk without choices."""
    assert list(writer(vocabulary).end()) == [DONE]
    usage, end = writer(vocabulary, stream_options={"include_usage": True}).end()
    assert end == DONE
    assert parsed([usage])[0]["choices"] == []


def test_error_event() -> None:
    """An error in mid-stream has the envelope that an error response has."""
    assert parsed([event(error_response(InvalidRequest("m", param="p")))]) == [
        {"error": {"message": "m", "type": "invalid_request_error", "param": "p", "code": "invalid_value"}}
    ]
