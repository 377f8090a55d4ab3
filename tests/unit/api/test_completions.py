"""The completions route around a scripted engine."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from key_files import bearer, write_keys
from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.special_tokens import Control
from phiserve.errors import EngineFailure, Overloaded
from scripted import ScriptedEngine, delta
from wire import ANSWER, call, events, post

MakeServices = Callable[..., Services]
PATH = "/v1/completions"


def complete(services: Services, prompt: Any = "Once upon", **fields: Any) -> httpx.Response:
    """One request."""
    return post(services, {"model": "m", "prompt": prompt} | fields, PATH)


def test_completion(make_services: MakeServices, encoder: PromptEncoder) -> None:
    """The whole answer, exactly OpenAI's keys; its text goes on where the prompt ends, space included."""
    engine = ScriptedEngine(ANSWER)
    body = complete(make_services(engine)).json()
    assert set(body) == {"id", "object", "created", "model", "choices", "usage"}
    assert (body["object"], body["model"], body["id"][:5]) == ("text_completion", "m", "cmpl-")
    assert body["choices"] == [{"index": 0, "text": " Hello", "finish_reason": "stop", "logprobs": None}]
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (3, 3)
    [sent] = engine.generations
    assert sent.prompt_ids == [Control.BOS, *encoder.encode_text("Once upon")]
    assert sent.max_tokens == 16


def test_an_answer_to_no_text_begins_one(make_services: MakeServices) -> None:
    """Behind `<s>` alone the first space is the tokenizer's, as decoding has it."""
    assert (
        complete(make_services(ScriptedEngine(ANSWER)), [Control.BOS]).json()["choices"][0]["text"] == "Hello"
    )


def test_stream(make_services: MakeServices) -> None:
    """Events of the same form: one for every delta that shows something, the usage on request, the end."""
    answer = complete(
        make_services(ScriptedEngine(ANSWER)), stream=True, stream_options={"include_usage": True}
    )
    *chunks, usage, end = events(answer)
    assert end == "[DONE]"
    assert {(chunk["id"], chunk["object"]) for chunk in (*chunks, usage)} == {
        (usage["id"], "text_completion")
    }
    assert [chunk["choices"] for chunk in chunks] == [
        [{"index": 0, "text": text, "finish_reason": reason, "logprobs": None}]
        for text, reason in ((" Hel", None), ("", None), ("lo", "stop"))
    ]
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 3


def test_prompts_are_answered_in_their_order(make_services: MakeServices) -> None:
    """Choices of the first prompt come first, whichever ends first; every prompt counts."""
    engine = ScriptedEngine(
        [delta(" b", index=1, ids=[6], finish="length"), delta(" a", ids=[5], finish="stop")]
    )
    body = complete(make_services(engine), [[5], [6, 7]], n=2).json()
    assert [(choice["index"], choice["text"]) for choice in body["choices"]] == [
        (0, " a"), (1, " b"), (2, " a"), (3, " b"),
    ]  # fmt: skip
    assert [sent.prompt_ids for sent in engine.generations] == [[5], [6, 7]]
    assert len({sent.request_id for sent in engine.generations}) == 2
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (3, 4)


def test_several_prompts_as_a_stream(make_services: MakeServices) -> None:
    """Events tell by their index which prompt they go on from; one end mark, one usage."""
    answer = complete(
        make_services(ScriptedEngine(ANSWER)), ["a", "b"], stream=True, stream_options={"include_usage": True}
    )
    *chunks, usage, end = events(answer)
    texts = {0: "", 1: ""}
    for chunk in chunks:
        texts[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert (texts, end) == ({0: " Hello", 1: " Hello"}, "[DONE]")
    assert usage["usage"]["completion_tokens"] == 6


def test_token_ids_on_request(make_services: MakeServices) -> None:
    """As vLLM gives them: beside each choice, the prompt's once in a stream."""
    services = make_services(ScriptedEngine(ANSWER))
    [choice] = complete(services, [5, 6], return_token_ids=True).json()["choices"]
    assert (choice["prompt_token_ids"], choice["token_ids"]) == ([5, 6], [5, 6, 7])
    chunks = events(complete(services, [5, 6], return_token_ids=True, stream=True))[:-1]
    assert [chunk["choices"][0].get("prompt_token_ids") for chunk in chunks] == [[5, 6], None, None]
    assert [chunk["choices"][0]["token_ids"] for chunk in chunks] == [[5], [6], [7]]


@pytest.mark.parametrize(
    ("token_id", "is_allowed"),
    [
        (1, True),
        (31_999, True),
        (Control.USER, False),
        (Control.IMAGE, False),
        (32_045, False),
        (32_064, False),
    ],
)
def test_ids_of_control_tokens(make_services: MakeServices, token_id: int, is_allowed: bool) -> None:
    """Are refused at their place; a setting allows those that a person may write, never an image's."""
    services = make_services(ScriptedEngine(ANSWER))
    answer = complete(services, [[5], [5, token_id]])
    if not is_allowed:
        assert answer.json()["error"]["param"] == "prompt[1][1]"
    assert answer.status_code == (200 if is_allowed else 400)
    allowing = make_services(ScriptedEngine(ANSWER), allow_control_token_ids=True)
    expected = 200 if is_allowed or token_id == Control.USER else 400
    assert complete(allowing, [[5], [5, token_id]]).status_code == expected


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_of_one_prompt_is_the_request_s(make_services: MakeServices, stream: bool) -> None:
    """Before the first token it has its status; all else is aborted."""
    for failure in (Overloaded("full", retry_after_s=7), EngineFailure("x")):
        engine = ScriptedEngine([failure])
        answer = complete(make_services(engine), ["a", "b"], stream=stream)
        assert answer.status_code == failure.status
        assert engine.closed.is_set()


def test_a_refused_prompt_names_its_place(make_services: MakeServices) -> None:
    """And no prompt of the request reaches the engine."""
    engine = ScriptedEngine(ANSWER, context_tokens=20)
    answer = complete(make_services(engine), ["a", "b " * 30])
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == (
        "prompt[1]", "context_length_exceeded",
    )  # fmt: skip
    assert engine.generations == []


class CountingEngine(ScriptedEngine):
    """Counts what runs."""

    running = 0

    async def generate(self, generation: Any) -> Any:
        self.running += 1
        try:
            async for each in super().generate(generation):
                yield each
        finally:
            self.running -= 1


def test_a_client_that_hangs_up_ends_all_its_prompts(make_services: MakeServices) -> None:
    """Each is closed, though none has brought anything yet."""

    async def run() -> None:
        begun = asyncio.Event()
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wait() -> "asyncio.Future[None]":
            if engine.running == 2:
                begun.set()
            return gate

        engine = CountingEngine([wait])
        app = create_app(make_services(engine))
        body = json.dumps({"prompt": ["a", "b"]}).encode()
        messages = asyncio.Queue[dict[str, Any]]()
        messages.put_nowait({"type": "http.request", "body": body})
        scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": [],
            "client": None, "root_path": "", "scheme": "http", "server": None,
        }  # fmt: skip

        async def send(message: Any) -> None:
            """Nobody reads."""

        answering = asyncio.create_task(app(scope, messages.get, send))
        await begun.wait()
        messages.put_nowait({"type": "http.disconnect"})
        await asyncio.gather(answering, return_exceptions=True)
        assert engine.running == 0

    asyncio.run(run())


def test_limits_of_keys_hold(make_services: MakeServices, tmp_path: Path) -> None:
    """One request, whatever the number of prompts; the tokens of all of them."""
    file = write_keys(
        tmp_path / "k",
        alice={"requests_per_minute": 3, "tokens_per_minute": 20},
        bob={"tokens_per_minute": 3},
    )
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    body = {"model": "m", "prompt": [[5, 6], [7, 8]]}
    first = call(services, "POST", PATH, headers=bearer("alice"), json=body)
    assert first.headers["x-ratelimit-remaining-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-tokens"] == "16"
    second = call(services, "POST", PATH, headers=bearer("alice"), json=body)
    assert second.headers["x-ratelimit-remaining-tokens"] == "6"  # six of the first answer, four of these
    refused = call(services, "POST", PATH, headers=bearer("bob"), json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")


@pytest.mark.parametrize("stream", [False, True])
def test_an_echo_is_the_prompts_text(
    make_services: MakeServices, encoder: PromptEncoder, stream: bool
) -> None:
    """Each prompt's before its answer, of texts and of ids."""
    prompts: list[list[object]] = [
        ["Once upon", "  two"],
        [[Control.BOS.value, *encoder.encode_text(text)] for text in ("Once upon", "two")],
    ]
    for prompt, texts in zip(prompts, (["Once upon", "  two"], ["Once upon", "two"]), strict=True):
        response = complete(make_services(ScriptedEngine(ANSWER)), prompt, echo=True, stream=stream)
        chunks = events(response)[:-1] if stream else [response.json()]
        shown = ["", ""]
        for choice in (choice for chunk in chunks for choice in chunk["choices"]):
            shown[choice["index"]] += choice["text"]
        assert shown == [f"{text} Hello" for text in texts]
