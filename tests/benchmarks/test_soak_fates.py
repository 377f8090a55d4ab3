"""What no request may get is found out."""

import json
from typing import Any

import pytest

from benchmarks.soak_bodies import Asked
from benchmarks.soak_fates import ANSWERED, TOLD, EventReader, Violation, error_code, whole_answer

ERROR = {"message": "Too much", "type": "x", "param": None, "code": "rate_limit_exceeded"}
DONE = b"data: [DONE]\n\n"


def asked(**body: Any) -> Asked:
    return Asked("text", body)


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def chunk(finish_reason: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": {"content": "x"}, "finish_reason": finish_reason}
    return event({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})


def read(*parts: bytes, wanted: int = 1) -> str:
    reader = EventReader(asked(n=wanted))
    for part in parts:
        reader.feed(part)
    return reader.close()


def test_whole_streams() -> None:
    """However they are cut on their way; comments and counts between events are right."""
    usage = event({"id": "c", "object": "chat.completion.chunk", "choices": []})
    whole = b": keep-alive\n\n" + chunk() + chunk("stop") + usage + DONE
    assert read(whole) == ANSWERED
    assert read(*(whole[at : at + 1] for at in range(len(whole)))) == ANSWERED
    assert read(chunk("stop"), chunk("length", 1), DONE, wanted=2) == ANSWERED


def test_streams_that_end_in_an_error() -> None:
    assert read(chunk(), event({"error": ERROR}), DONE) == TOLD


@pytest.mark.parametrize(
    "parts",
    [
        [chunk("stop")],
        [chunk("stop"), b"data: [DONE]"],
        [chunk(), DONE],
        [chunk("stop"), DONE, chunk()],
        [chunk("stop"), chunk(), DONE],
        [chunk("stop"), b"Internal Server Error\n\n", DONE],
        [b"data: {broken\n\n", DONE],
        [b'data: {"id": "c"}\n\n', DONE],
        [event({"error": ERROR})],
        [event({"error": ERROR}), chunk(), DONE],
        [event({"error": {"message": "shapeless"}}), DONE],
        [event({"error": ERROR | {"code": "internal_error"}}), DONE],
        [chunk("nothing known"), DONE],
    ],
)
def test_streams_that_are_violations(parts: list[bytes]) -> None:
    with pytest.raises(Violation):
        read(*parts)


def test_errors_have_a_shape() -> None:
    told = json.dumps({"error": ERROR}).encode()
    assert error_code(told, 429, "application/json") == "rate_limit_exceeded"
    for content, media_type in (
        (told, "text/plain"),
        (b"no", "application/json"),
        (b"{}", "application/json"),
    ):
        with pytest.raises(Violation):
            error_code(content, 429, media_type)


def test_whole_answers() -> None:
    """As many choices as were asked for, each with its end and what else was wanted."""
    choice = {"finish_reason": "stop", "logprobs": None, "message": {"content": "{}"}}
    answer = json.dumps({"object": "chat.completion", "choices": [choice]}).encode()
    whole_answer(asked(), answer, "application/json")
    whole_answer(asked(response_format={}), answer, "application/json")
    whole_answer(Asked("/tokenize", {}, path="/tokenize"), b'{"count": 3}', "application/json")
    for wanted in (asked(n=2), asked(logprobs=True), Asked("/tokenize", {}, path="/tokenize")):
        with pytest.raises(Violation):
            whole_answer(wanted, answer, "application/json")
    with pytest.raises(Violation):
        whole_answer(asked(response_format={}), answer.replace(b'"{}"', b'"{"'), "application/json")
