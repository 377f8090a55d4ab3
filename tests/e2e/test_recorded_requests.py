"""What real clients sent (`make clients`) is answered as it was, without the clients.

Each file of recorded/clients/ holds the requests of one client in their order. Where one names an answer to
an earlier one, or a call in it, it is told the ones of this run. The model has one name here.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from conformance.client_recording import answer_ids
from phiserve.checkpoint.embedded import DEMO_NAME
from responses_types import events_of, strict_response

FOLDER = Path(__file__).parent / "recorded" / "clients"
TIMEOUT_S = 300
AT_ONCE = 6
"""Clients that ask at the same time, for the sake of time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded request: its client, its number among that client's, and what the file says of it."""

    client: str
    number: int
    recorded: dict[str, Any]

    @property
    def name(self) -> str:
        """By which a test is told."""
        return f"{self.client}/{self.recorded['check']}/{self.number}"


def recorded_rows(file: Path) -> list[Row]:
    """A client's requests."""
    requests = json.loads(file.read_text(encoding="utf-8"))["requests"]
    return [Row(file.stem, number, recorded) for number, recorded in enumerate(requests)]


CLIENTS = {file.stem: recorded_rows(file) for file in sorted(FOLDER.glob("*.json"))}
ROWS = [row for rows in CLIENTS.values() for row in rows]


def ask(url: str, rows: list[Row]) -> Iterator[tuple[str, httpx.Response]]:
    """Ask what a client asked, one after the other."""
    ids: dict[str, str] = {}
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        for row in rows:
            recorded = row.recorded
            path, body = recorded["path"], json.dumps(recorded["body"]).replace('"gpt-4o"', f'"{DEMO_NAME}"')
            for old, new in ids.items():
                path, body = path.replace(old, new), body.replace(old, new)
            response = client.request(
                recorded["method"],
                path,
                content=None if recorded["body"] is None else body,
                headers={"content-type": "application/json"},
            )
            ids |= dict(zip(recorded.get("answer_ids", ()), answer_ids(response.content), strict=False))
            yield row.name, response


@pytest.fixture(scope="module")
def responses(demo_url: str) -> dict[str, httpx.Response]:
    """The responses to all requests, by the rows' names."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        answered = threads.map(lambda rows: list(ask(demo_url, rows)), CLIENTS.values())
        return dict(pair for pairs in answered for pair in pairs)


def strict_chunk(data: str) -> ChatCompletionChunk:
    """A chunk of a chat completion, as the openai client has it."""
    return ChatCompletionChunk.model_validate_json(data, strict=True)


def frames(response: httpx.Response) -> list[str]:
    """The data of a stream's events; the last one is the end mark."""
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]", response.text[-300:]
    return data[:-1]


def check_chat(response: httpx.Response, streamed: bool) -> None:
    """Every choice of a chat completion ends for one of OpenAI's reasons."""
    if not streamed:
        completion = ChatCompletion.model_validate_json(response.content, strict=True)
        assert {choice.finish_reason for choice in completion.choices} <= {"stop", "length", "tool_calls"}
        return
    chunks = [strict_chunk(data) for data in frames(response)]
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    assert reasons
    assert {*reasons} <= {"stop", "length", "tool_calls"}


def check_responses(response: httpx.Response, streamed: bool) -> None:
    """A response, or its events up to the one that ends it."""
    if streamed:
        assert events_of(response.text)[-1]["type"] in ("response.completed", "response.incomplete")
    else:
        strict_response(response.json())


def check_completions(response: httpx.Response, streamed: bool) -> None:
    """A text completion, or its chunks."""
    pieces = frames(response) if streamed else [response.text]
    for piece in map(json.loads, pieces):
        for choice in piece["choices"] if streamed else ():
            choice["finish_reason"] = (
                choice["finish_reason"] or "stop"
            )  # null until the end: no type has that
        Completion.model_validate_json(json.dumps(piece), strict=True)


CHECKS = {
    "/v1/chat/completions": check_chat,
    "/v1/responses": check_responses,
    "/v1/completions": check_completions,
}


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_answered_as_recorded(responses: dict[str, httpx.Response], row: Row) -> None:
    """With the recorded status; a success is whole and has the types of openai's, a refusal says why."""
    recorded, response = row.recorded, responses[row.name]
    assert response.status_code == recorded["status"], response.text[:500]
    if recorded["status"] >= 400:
        if recorded["method"] != "HEAD":
            assert response.json()["error"]["message"]
        return
    path = recorded["path"].partition("?")[0].rstrip("/")
    streamed = isinstance(recorded["body"], dict) and bool(recorded["body"].get("stream"))
    media_type = "text/event-stream" if streamed else "application/json"
    assert response.headers["content-type"].startswith(media_type)
    if recorded["method"] == "POST" and path in CHECKS:
        CHECKS[path](response, streamed)
