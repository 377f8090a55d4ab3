"""Open WebUI's and LibreChat's own requests are answered with what those programs read out of an answer.

Each file of recorded/ holds a request and says where it is from. Only the model's name is filled in.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2e.conftest import MODEL
from e2e.running import ServerProcess

RECORDED = Path(__file__).parent / "recorded"
Responses = dict[str, tuple[httpx.Response, bytes]]
Answered = Callable[[str], Any]


@pytest.fixture(scope="module")
def url(short_server: ServerProcess) -> str:
    """A server with a small context: random weights fill it where a request sets no limit, as most here."""
    return short_server.url


@contextmanager
def sent(url: str, name: str) -> Iterator[httpx.Response]:
    """Send a recorded request; the answer is not read yet."""
    recorded = json.loads((RECORDED / f"{name}.json").read_text())
    content = json.dumps(recorded["body"] | {"model": MODEL}).encode() if recorded["body"] else None
    with httpx.stream(
        recorded["method"], url + recorded["path"], headers=recorded["headers"], content=content, timeout=300
    ) as response:
        yield response


def whole(url: str, name: str) -> tuple[httpx.Response, bytes]:
    """A recorded request's response and all of its body."""
    with sent(url, name) as response:
        return response, response.read()


@pytest.fixture(scope="module")
def responses(url: str) -> Responses:
    """The responses to all requests by name, asked at the same time, for the sake of time."""
    files = [path for folder in ("librechat", "open_webui") for path in (RECORDED / folder).glob("*.json")]
    names = sorted(path.relative_to(RECORDED).with_suffix("").as_posix() for path in files)
    with ThreadPoolExecutor(len(names)) as threads:
        return dict(zip(names, threads.map(partial(whole, url), names), strict=True))


@pytest.fixture
def answered(responses: Responses) -> Answered:
    """The JSON of an answer in one piece, by the request's name."""

    def parse(name: str) -> Any:
        response, body = responses[name]
        assert response.status_code == 200, body
        return json.loads(body)

    return parse


@pytest.fixture
def streamed(responses: Responses) -> Answered:
    """All events of a streamed answer, by the request's name."""

    def parse(name: str) -> list[Any]:
        response, body = responses[name]
        assert response.status_code == 200, body
        # Open WebUI takes an answer of any other type for one in one piece (routers/openai.py)
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(events(body.decode().splitlines()))

    return parse


def events(lines: Iterable[str]) -> Iterator[Any]:
    """The events of a stream, parsed as both programs do: a line each, comments left out, up to the end
    mark.
    """
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def metric(url: str, name: str) -> float:
    """A value of vLLM's metrics."""
    found = re.search(rf"^vllm:{name}\{{.*\}} (\S+)$", httpx.get(f"{url}/metrics").text, re.M)
    assert found is not None
    return float(found[1])


def wait_until_idle(url: str) -> None:
    """Wait until the engine works on nothing."""
    deadline = time.monotonic() + 30
    while metric(url, "num_requests_running"):
        assert time.monotonic() < deadline, "the request was not dropped"


def test_open_webui_finds_the_model_and_leaves_its_tools_out(answered: Answered) -> None:
    """It lists `id`s and `name`s, and reads capabilities from `info.meta`; without the last, it sends tools
    with every chat.
    """
    (card,) = answered("open_webui/models")["data"]
    assert card["id"] == MODEL
    assert card.get("name", MODEL) == MODEL
    # vision: images may be attached; usage: it asks for stream_options.include_usage; builtin_tools: it sends
    # `tools`
    assert card["info"]["meta"]["capabilities"] == {"vision": True, "usage": True, "builtin_tools": False}


def test_librechat_finds_the_model(answered: Answered) -> None:
    """It reads the `id`s of `data`."""
    assert [item["id"] for item in answered("librechat/models")["data"]] == [MODEL]


@pytest.mark.parametrize("name", ["chat", "chat_with_image", "second_turn"])
def test_open_webui_shows_an_answer(streamed: Answered, name: str) -> None:
    """It reads `choices[0].delta.content`, then `finish_reason`, then `usage` (utils/middleware.py, the
    stream handler).
    """
    chunks = streamed(f"open_webui/{name}")
    choices = [chunk["choices"][0] for chunk in chunks if chunk.get("choices")]
    assert "".join(choice["delta"].get("content") or "" for choice in choices).strip()
    assert choices[-1]["finish_reason"] in ("stop", "length")
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert chunks[-1]["usage"]["prompt_tokens"] > 0
    assert not any("error" in chunk for chunk in chunks)


@pytest.mark.parametrize("name", ["chat", "chat_with_image"])
def test_librechat_shows_an_answer(streamed: Answered, name: str) -> None:
    """LangChain reads each chunk's role and content, the finish reason, and the counts of the last one
    (@langchain/openai).
    """
    chunks = streamed(f"librechat/{name}")
    *deltas, last = chunks
    assert deltas[0]["choices"][0]["delta"]["role"] == "assistant"  # decides the class of the message
    assert all(isinstance(chunk["choices"][0]["delta"].get("content", ""), str) for chunk in deltas)
    assert deltas[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert last["choices"] == []  # else it would look for a delta
    assert (
        last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
    )
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] >= 0
    assert {chunk["id"] for chunk in chunks} == {last["id"]}  # it merges chunks of one id


@pytest.mark.parametrize("name", ["title", "tags", "follow_ups", "emoji"])
def test_open_webui_generates_titles_tags_and_follow_ups(answered: Answered, name: str) -> None:
    """It takes the content of the one choice, and looks for JSON in it itself (utils/middleware.py,
    background tasks).
    """
    answer = answered(f"open_webui/{name}")
    assert len(answer["choices"]) == 1  # with any other number it gives up
    assert isinstance(answer["choices"][0]["message"]["content"], str)


def test_librechat_generates_titles(answered: Answered) -> None:
    """It shows the content as the title."""
    message = answered("librechat/title")["choices"][0]["message"]
    assert message["role"] == "assistant"
    assert message["content"].strip()


def test_librechat_generates_structured_titles(answered: Answered) -> None:
    """The openai package parses the content by the schema, unless it was cut off; a refusal would come
    first.
    """
    choice = answered("librechat/title_structured")["choices"][0]
    assert choice["message"]["refusal"] is None
    assert choice["message"]["content"].startswith('{"language":"')
    # Strings have no bound in this schema, and random weights seldom end one.
    if choice["finish_reason"] == "stop":
        assert json.loads(choice["message"]["content"]).keys() == {"language", "title"}


@pytest.mark.parametrize("name", ["open_webui/chat", "librechat/chat"])
def test_a_stop_button_ends_the_work(server: ServerProcess, name: str) -> None:
    """Both programs cancel by closing the connection; the engine then drops the request, long before its
    answer is complete.

    On the session's server, whose context an answer takes seconds to fill.
    """
    wait_until_idle(server.url)
    before = metric(server.url, "generation_tokens_total")
    with sent(server.url, name) as response:
        stream = events(response.iter_lines())
        while not next(stream)["choices"][0]["delta"].get("content"):
            pass
    wait_until_idle(server.url)
    (card,) = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert metric(server.url, "generation_tokens_total") - before < card["max_model_len"] // 2


def test_open_webui_may_send_its_tools(responses: Responses) -> None:
    """Where somebody switches them on for the model, it is answered in words or calls."""
    response, _ = responses["open_webui/chat_with_tools"]
    assert response.status_code == 200
