"""The chat route around a scripted engine: wire forms, and failures at every moment."""

from collections.abc import Callable
from typing import Any

import pytest

from images import data_url, encode, noise
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.core import Conversation, Turn
from phiserve.errors import EngineFailure, Overloaded
from scripted import ScriptedEngine, delta
from wire import ANSWER, BODY, events, post

MakeServices = Callable[..., Services]


def test_completion(make_services: MakeServices) -> None:
    """The whole answer, exactly OpenAI's keys."""
    response = post(make_services(ScriptedEngine(ANSWER)))
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"id", "object", "created", "model", "choices", "usage"}
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]
    assert body["usage"]["completion_tokens"] == 3


def test_stream(make_services: MakeServices) -> None:
    """Role first, a chunk for every delta, finish reason, usage on request, end mark; one id and time
    throughout.
    """
    response = post(
        make_services(ScriptedEngine(ANSWER)), stream=True, stream_options={"include_usage": True}
    )
    *chunks, end = events(response)
    assert end == "[DONE]"
    assert {(chunk["id"], chunk["created"]) for chunk in chunks} == {(chunks[0]["id"], chunks[0]["created"])}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": ""},
        {"content": "lo"},
        {},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert response.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("fields", [{}, {"return_token_ids": True}])
def test_counts_in_every_chunk(make_services: MakeServices, fields: dict[str, Any]) -> None:
    """As vLLM sends them where a load generator asks: those so far, beside the usage at the end."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    services = make_services(ScriptedEngine(ANSWER))
    *chunks, _ = events(post(services, stream=True, stream_options=options, **fields))
    usages = [chunk["usage"] for chunk in chunks]
    assert [usage["completion_tokens"] for usage in usages] == [1, 1, 2, 3, 3, 3]
    assert {usage["total_tokens"] - usage["completion_tokens"] for usage in usages} == {
        usages[0]["prompt_tokens"]
    }
    alone = {"continuous_usage_stats": True}
    *chunks, _ = events(post(services, stream=True, stream_options=alone, **fields))
    assert not any("usage" in chunk for chunk in chunks)


def test_the_name_asked_for_comes_back(make_services: MakeServices) -> None:
    """Whole and streamed; the main name where the request has none."""
    services = make_services(ScriptedEngine(ANSWER), served_model_name="gpt-4o")
    nameless = {"messages": BODY["messages"]}
    assert [post(services, nameless | named).json()["model"] for named in ({}, {"model": None})] == ["m", "m"]
    assert post(services, model="gpt-4o").json()["model"] == "gpt-4o"
    *chunks, _ = events(post(services, model="gpt-4o", stream=True))
    assert {chunk["model"] for chunk in chunks} == {"gpt-4o"}
    assert post(services, model="gpt-5").status_code == 404


def test_several_choices(make_services: MakeServices) -> None:
    """Interleaved choices are kept apart."""
    steps = [
        delta(" a", index=1),
        delta(" b"),
        delta("c", finish="stop"),
        delta("d", index=1, finish="length"),
    ]
    choices = post(make_services(ScriptedEngine(steps)), n=2).json()["choices"]
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in choices] == [
        (0, "bc", "stop"),
        (1, "ad", "length"),
    ]


def test_token_ids_on_request(make_services: MakeServices) -> None:
    """`return_token_ids` adds the prompt's and each choice's ids, streamed ones chunk by chunk."""
    services = make_services(ScriptedEngine(ANSWER))
    body = post(services, return_token_ids=True).json()
    chunks = [
        chunk for chunk in events(post(services, return_token_ids=True, stream=True)) if chunk != "[DONE]"
    ]
    assert body["choices"][0]["token_ids"] == [5, 6, 7]
    assert body["prompt_token_ids"][0] == 1
    assert [chunk.get("prompt_token_ids") for chunk in chunks] == [body["prompt_token_ids"]] + [None] * (
        len(chunks) - 1
    )
    assert [token for chunk in chunks for token in chunk["choices"][0].get("token_ids", [])] == [5, 6, 7]


@pytest.mark.parametrize("stream", [False, True])
def test_failure_before_the_first_token_has_its_status(make_services: MakeServices, stream: bool) -> None:
    """Nothing has been sent yet, so the status tells."""
    response = post(make_services(ScriptedEngine([Overloaded("full", retry_after_s=7)])), stream=stream)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert response.json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("failure", [EngineFailure("broken"), ValueError("secret")])
def test_failure_in_mid_stream_is_an_event(make_services: MakeServices, failure: Exception) -> None:
    """What was said stays said; then an error event, then the end. Unexpected errors keep their text to
    themselves.
    """
    response = post(make_services(ScriptedEngine([ANSWER[0], failure])), stream=True)
    *_, error, end = events(response)
    assert (error["error"]["code"], end) == ("engine_error", "[DONE]")
    assert "secret" not in response.text


def test_unexpected_failure_is_a_500_in_the_envelope(make_services: MakeServices) -> None:
    """With a request id and without the exception's text."""
    response = post(make_services(ScriptedEngine([ValueError("secret")])))
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert response.headers["x-request-id"]
    assert "secret" not in response.text


def test_wrong_model(make_services: MakeServices) -> None:
    """404 that names the model served."""
    response = post(make_services(ScriptedEngine(ANSWER)), model="gpt-5")
    assert response.status_code == 404
    assert response.json()["error"]["param"] == "model"
    assert "'m'" in response.json()["error"]["message"]


def test_tokenize(make_services: MakeServices) -> None:
    """The prompt's ids and count, without a generation."""
    engine = ScriptedEngine()
    body = post(make_services(engine), path="/tokenize").json()
    assert body["count"] == len(body["tokens"]) > 0
    assert (body["max_model_len"], body["images"], engine.generations) == (4096, [], [])


@pytest.mark.parametrize(
    ("fields", "content"),
    [
        ({}, "yes"),
        ({"structured_outputs": {"choice": [" yes"]}}, " yes"),
        ({"structured_outputs": {"regex": " yes"}}, " yes"),
        ({"structured_outputs": {"grammar": 'root ::= " yes"'}}, " yes"),
    ],
    ids=str,
)
def test_the_space_that_an_answer_begins_with(
    make_services: MakeServices, fields: dict[str, Any], content: str
) -> None:
    """The tokenizer's own is dropped; one that a constraint asked for is kept."""
    steps = [delta(" yes", ids=[5], finish="stop")]
    choice = post(make_services(ScriptedEngine(steps)), **fields).json()["choices"][0]
    assert choice["message"]["content"] == content


GO_ON: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "The"}]
}


@pytest.mark.parametrize(("echo", "content"), [(False, " Hello"), (True, "The Hello")])
def test_the_last_message_goes_on(
    make_services: MakeServices, encoder: PromptEncoder, echo: bool, content: str
) -> None:
    """Its turn is the prompt's end; the first space is text, and the message comes back where asked for."""
    engine = ScriptedEngine(ANSWER)
    services = make_services(engine)
    fields = GO_ON | {"continue_final_message": True, "echo": echo}
    assert post(services, **fields).json()["choices"][0]["message"]["content"] == content
    *chunks, _ = events(post(services, stream=True, **fields))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(one.get("content", "") for one in deltas) == content
    [turn] = encoder.encode(Conversation((Turn("assistant", ("The",)),), is_open=True)).segments
    assert engine.generations[0].prompt_ids[-len(turn) + 1 :] == list(turn[1:])


def test_only_an_assistants_message_is_echoed(make_services: MakeServices) -> None:
    """As in vLLM: the answer's own role."""
    services = make_services(ScriptedEngine(ANSWER))
    assert post(services, echo=True).json()["choices"][0]["message"]["content"] == "Hello"
    assert post(services, echo=True, **GO_ON).json()["choices"][0]["message"]["content"] == "TheHello"


def test_a_uuid_that_stood_for_another_image(make_services: MakeServices) -> None:
    """It is refused by its place, on any route that reads images."""
    services = make_services(ScriptedEngine(ANSWER))
    for seed, status in ((0, 200), (0, 200), (1, 400)):
        image = {
            "type": "image_url",
            "image_url": {"url": data_url(encode(noise(20, 20, seed)))},
            "uuid": "a",
        }
        message = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}
        for path in ("/tokenize", "/v1/chat/completions"):
            response = post(services, path=path, messages=[message])
            assert response.status_code == status
            if status == 400:
                assert response.json()["error"]["param"] == "messages[0].content[1].uuid"
