"""The chat route around a scripted engine: wire forms, failures at every moment, clients that hang up."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from scripted import ScriptedEngine, delta

from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.errors import EngineFailure, Overloaded

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
ANSWER = [delta(" Hel", ids=[5]), delta("", ids=[6]), delta("lo", ids=[7], finish="stop")]
MakeServices = Callable[..., Services]


def post(services: Services, body: Any = None, path: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
    """One request through the whole application."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            content = body if isinstance(body, bytes) else json.dumps((body or BODY) | fields).encode()
            return await client.post(path, content=content)

    return asyncio.run(run())


def events(response: httpx.Response) -> list[Any]:
    frames = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    return [frame if frame == "[DONE]" else json.loads(frame) for frame in frames]


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
    """Role first, a chunk for every delta, finish reason, usage on request, end mark; one id and time throughout."""
    response = post(make_services(ScriptedEngine(ANSWER)), stream=True, stream_options={"include_usage": True})
    *chunks, end = events(response)
    assert end == "[DONE]"
    assert {(chunk["id"], chunk["created"]) for chunk in chunks} == {(chunks[0]["id"], chunks[0]["created"])}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas == [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": ""}, {"content": "lo"}, {}]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 3
    assert response.headers["content-type"].startswith("text/event-stream")


def test_several_choices(make_services: MakeServices) -> None:
    """Interleaved choices are kept apart."""
    steps = [delta(" a", index=1), delta(" b"), delta("c", finish="stop"), delta("d", index=1, finish="length")]
    choices = post(make_services(ScriptedEngine(steps)), n=2).json()["choices"]
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in choices] == [
        (0, "bc", "stop"),
        (1, "ad", "length"),
    ]


def test_token_ids_on_request(make_services: MakeServices) -> None:
    """`return_token_ids` adds the prompt's and each choice's ids, streamed ones chunk by chunk."""
    services = make_services(ScriptedEngine(ANSWER))
    body = post(services, return_token_ids=True).json()
    chunks = [chunk for chunk in events(post(services, return_token_ids=True, stream=True)) if chunk != "[DONE]"]
    assert body["choices"][0]["token_ids"] == [5, 6, 7]
    assert body["prompt_token_ids"][0] == 1
    assert [chunk.get("prompt_token_ids") for chunk in chunks] == [body["prompt_token_ids"]] + [None] * (len(chunks) - 1)
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
    """What was said stays said; then an error event, then the end. Unexpected errors keep their text to themselves."""
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


def test_body_limit(make_services: MakeServices) -> None:
    """A body over the limit is refused by its announced length, and while reading when none is announced."""
    services = make_services(ScriptedEngine(ANSWER), max_body_bytes=2000)
    assert post(services, b"x" * 3000).status_code == 413

    async def chunked() -> tuple[int, int]:
        sent = 0

        async def body() -> Any:
            nonlocal sent
            for _ in range(100):
                sent += 1
                yield b"x" * 1000

        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.post("/v1/chat/completions", content=body())).status_code, sent

    status, sent = asyncio.run(chunked())
    assert (status, sent < 10) == (413, True)


def test_wrong_model(make_services: MakeServices) -> None:
    """404 that names the model served."""
    response = post(make_services(ScriptedEngine(ANSWER)), model="gpt-5")
    assert response.status_code == 404
    assert response.json()["error"]["param"] == "model"
    assert "'m'" in response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_hanging_up_closes_the_engine_request(make_services: MakeServices, stream: bool, begun: bool) -> None:
    """A client that goes away, before or after the first token, closes the engine's generator at once."""

    async def run() -> ScriptedEngine:
        engine = ScriptedEngine([delta("a")] if begun else [])
        reached = asyncio.Event()

        async def forever() -> None:
            reached.set()
            await asyncio.Event().wait()

        engine.steps = [*engine.steps, forever]  # type: ignore[list-item]
        gone = asyncio.Event()
        body = iter([{"type": "http.request", "body": json.dumps(BODY | {"stream": stream}).encode()}])

        async def receive() -> Any:
            if (message := next(body, None)) is not None:
                return message
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            pass

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("t", 80), "client": ("c", 1)}
        answering = asyncio.create_task(create_app(make_services(engine))(scope, receive, send))
        await reached.wait()
        gone.set()
        await asyncio.wait_for(engine.closed.wait(), 2)
        await asyncio.wait_for(answering, 2)
        return engine

    assert len(asyncio.run(run()).generations) == 1


def test_keepalive_comments(make_services: MakeServices) -> None:
    """While the engine is silent, comments keep the connection alive; without the setting there are none."""

    async def silence() -> None:
        await asyncio.sleep(0.2)

    steps = [silence, *ANSWER]
    with_comments = post(make_services(ScriptedEngine(steps), sse_keepalive_s=0.02), stream=True)  # type: ignore[arg-type]
    without = post(make_services(ScriptedEngine(steps)), stream=True)  # type: ignore[arg-type]
    assert with_comments.text.startswith(": keep-alive\n\n")
    assert ": keep-alive" not in without.text
    assert events(with_comments)[1:4] != []
    assert events(with_comments)[-1] == "[DONE]"


def test_tokenize(make_services: MakeServices) -> None:
    """The prompt's ids and count, without a generation."""
    engine = ScriptedEngine()
    body = post(make_services(engine), path="/tokenize").json()
    assert body["count"] == len(body["tokens"]) > 0
    assert (body["max_model_len"], body["images"], engine.generations) == (4096, [], [])
