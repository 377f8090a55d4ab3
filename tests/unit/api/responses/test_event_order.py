"""The order of events for each kind of answer, each event as OpenAI's types and specification have it."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from phiserve.api.services import Services
from phiserve.engine.interface import Candidate, Delta, Position
from phiserve.errors import EngineFailure
from phiserve.protocol.responses.request import LOGPROBS
from responses_types import Specification, strict_response, typed_events
from scripted import ScriptedEngine, delta
from stateful import PATH, running
from wire import ANSWER

MakeServices = Callable[..., Services]
DOCUMENT = Path(__file__).parents[4] / "docs" / "responses.md"
BEGUN = ["created", "in_progress"]
MESSAGE = ["output_item.added", "content_part.added"]
TOLD = ["output_text.delta"]
MESSAGE_DONE = ["output_text.done", "content_part.done", "output_item.done"]
CALL = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}
TOOLS = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("look", "rest")]


def scored(text: str, token: int, finish: str | None = None) -> Delta:
    """A delta with log-probabilities."""
    position = Position(Candidate(token, -0.5), (Candidate(token, -0.5), Candidate(13, -1.5)))
    return Delta(0, text, (token,), (position,), finish, 0)  # type: ignore[arg-type]


def written(*calls: str) -> list[Any]:
    """An answer of calls, in pieces."""
    text = " functools[" + ",".join(calls) + "]"
    pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
    return [*(delta(piece, ids=[5]) for piece in pieces), delta("", ids=[2], finish="stop")]


LOOK, REST = '{"name":"look","arguments":{"a":1}}', '{"name":"rest","arguments":{}}'
KINDS: dict[str, tuple[dict[str, Any], Sequence[Any], list[str]]] = {
    "text": ({}, ANSWER, [*BEGUN, *MESSAGE, *TOLD, *MESSAGE_DONE, "completed"]),
    "empty": (
        {},
        [delta("", ids=[5], finish="stop")],
        [*BEGUN, *MESSAGE, *MESSAGE_DONE, "completed"],
    ),
    "log-probabilities": (
        {"include": [LOGPROBS], "top_logprobs": 2},
        [scored(" time", 931), scored("s", 29879, "stop")],
        [*BEGUN, *MESSAGE, *TOLD, *MESSAGE_DONE, "completed"],
    ),
    "json_schema": (
        {"text": FORMAT},
        [delta('{"a":', ids=[5]), delta("1}", ids=[6], finish="stop")],
        [*BEGUN, *MESSAGE, *TOLD, *MESSAGE_DONE, "completed"],
    ),
    "one call": ({"tools": TOOLS}, written(LOOK), [*BEGUN, *CALL, "completed"]),
    "several calls": ({"tools": TOOLS}, written(LOOK, REST), [*BEGUN, *CALL, *CALL, "completed"]),
    "length": (
        {"max_output_tokens": 1},
        [delta(" a", ids=[5], finish="length")],
        [*BEGUN, *MESSAGE, *TOLD, *MESSAGE_DONE, "incomplete"],
    ),
    "failed": (
        {},
        [delta(" a", ids=[5]), EngineFailure("no")],
        [*BEGUN, *MESSAGE, *TOLD, "error", "failed"],
    ),
}
"""Kind -> request, the engine's answer, and the events; those of several deltas are one here."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_documents_tell_it(kind: str) -> None:
    """A row for each kind."""
    names = ", ".join(f"`{name}`" for name in KINDS[kind][2])
    assert f"\n| {kind} | {names} |\n" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_order(
    make_services: MakeServices, tmp_path: Path, reference: Path, kind: str, is_stored: bool
) -> None:
    """Whether or not the answer is stored."""
    body, steps, expected = KINDS[kind]
    services = make_services(ScriptedEngine(steps), state=tmp_path)
    asked = {"input": "Hi", "stream": True, "store": is_stored} | body

    async def run() -> Any:
        async with running(services) as client:
            return typed_events(await client.post(PATH, json=asked))

    events = asyncio.run(run())
    specification = Specification(reference)
    for event in events:
        specification.validate("ResponseStreamEvent", event)
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert [name for name, _ in groupby(kinds)] == expected
    strict_response(events[-1]["response"])
    specification.validate("Response", events[-1]["response"])
