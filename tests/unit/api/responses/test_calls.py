"""Answers that call tools: items and events in OpenAI's order, as others define them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phiserve.api.services import Services
from phiserve.engine.interface import Candidate, Delta, Position
from phiserve.protocol.responses.request import LOGPROBS
from responses_types import Specification, strict_response, typed_events
from scripted import ScriptedEngine, delta
from wire import post

MakeServices = Callable[..., Services]
TOOLS = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("look", "rest")]
BODY = {"input": "Hi", "tools": TOOLS}
WRITTEN = ' functools[{"name":"look","arguments":{"a":"}"}},{"name":"rest","arguments":{}}]'
CALLS = [("look", '{"a":"}"}'), ("rest", "{}")]


def in_pieces(text: str, size: int, finish: str = "stop") -> list[Any]:
    """An answer in deltas of `size` characters."""
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return [*(delta(piece, ids=[5]) for piece in pieces), delta("", ids=[2], finish=finish)]


def asked(services: Services, **fields: Any) -> Any:
    return post(services, BODY | fields, path="/v1/responses")


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_calls_in_events(make_services: MakeServices, size: int, reference: Path) -> None:
    """Each call is an item that begins, gets its arguments and ends, before the next begins."""
    events = typed_events(asked(make_services(ScriptedEngine(in_pieces(WRITTEN, size))), stream=True))
    for event in events:
        Specification(reference).validate("ResponseStreamEvent", event)
    kinds = [event["type"].removeprefix("response.") for event in events]
    once = [kind for kind in kinds if kind != "function_call_arguments.delta"]
    item = ["output_item.added", "function_call_arguments.done", "output_item.done"]
    assert once == ["created", "in_progress", *item, *item, "completed"]
    for index, (name, arguments) in enumerate(CALLS):
        mine = [event for event in events if event.get("output_index") == index]
        added, *deltas, done, ended = mine
        assert (added["item"]["name"], added["item"]["arguments"]) == (name, "")
        assert "".join(event["delta"] for event in deltas) == arguments
        assert (done["name"], done["arguments"]) == (name, arguments)
        assert ended["item"] == added["item"] | {"arguments": arguments, "status": "completed"}
        assert events[-1]["response"]["output"][index] == ended["item"]


def test_calls_as_a_whole(make_services: MakeServices, reference: Path) -> None:
    """Items with ids of their own; the tools are repeated as they hold."""
    body = asked(make_services(ScriptedEngine([delta(WRITTEN, ids=[5], finish="stop")]))).json()
    response = strict_response(body)
    Specification(reference).validate("Response", body)
    items: list[Any] = list(response.output)
    assert [(item.name, item.arguments) for item in items] == CALLS
    assert [item.type for item in items] == ["function_call"] * 2
    assert len({item.call_id for item in items} | {item.id for item in items}) == 4
    assert [(tool["name"], tool["strict"]) for tool in body["tools"]] == [("look", True), ("rest", True)]
    assert (response.status, body["tool_choice"]) == ("completed", "auto")


@pytest.mark.parametrize("stream", [False, True])
def test_text_where_calls_were_possible(make_services: MakeServices, stream: bool) -> None:
    """A message, also where it begins as a call does."""
    response = asked(make_services(ScriptedEngine(in_pieces(" func", 2))), stream=stream)
    body = typed_events(response)[-1]["response"] if stream else response.json()
    assert strict_response(body).output_text == "func"


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_cut_within_a_character(make_services: MakeServices, stream: bool) -> None:
    """Its last tokens make no text, and have their log-probabilities all the same, as in chat."""
    tokens = [Position(Candidate(token, -0.5), (Candidate(token, -0.5),)) for token in (6324, 195)]
    steps = [
        Delta(0, " Hi", (6324,), (tokens[0],), None, 0),
        Delta(0, "", (195,), (tokens[1],), "length", 0),
    ]
    response = asked(make_services(ScriptedEngine(steps)), stream=stream, include=[LOGPROBS])
    body = typed_events(response)[-1]["response"] if stream else response.json()
    assert [len(item["content"][0]["logprobs"]) for item in body["output"]] == [2]
    if stream:
        deltas = [event for event in typed_events(response) if event["type"].endswith("text.delta")]
        assert [len(event["logprobs"]) for event in deltas] == [1, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_was_cut(make_services: MakeServices, stream: bool) -> None:
    """It and the response are incomplete; the call before it is whole."""
    cut = WRITTEN[: WRITTEN.index("{}") + 1]
    response = asked(make_services(ScriptedEngine(in_pieces(cut, 3, "length"))), stream=stream)
    body = typed_events(response)[-1]["response"] if stream else response.json()
    assert [(item["arguments"], item["status"]) for item in body["output"]] == [
        ('{"a":"}"}', "completed"),
        ("{", "incomplete"),
    ]
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_was_hardly_begun(make_services: MakeServices, stream: bool) -> None:
    """Where nothing but calls could come, its beginning is no text."""
    engine = ScriptedEngine(in_pieces(" functo", 2, "length"))
    response = asked(make_services(engine), stream=stream, tool_choice="required")
    body = typed_events(response)[-1]["response"] if stream else response.json()
    assert (strict_response(body).output_text, body["status"]) == ("", "incomplete")


def test_a_loop(make_services: MakeServices) -> None:
    """What was answered is sent back with a result, and answered in words."""
    called = asked(make_services(ScriptedEngine(in_pieces(WRITTEN, 9)))).json()["output"]
    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "red"} for call in called
    ]
    history = [{"role": "user", "content": "Hi"}, *called, *outputs]
    engine = ScriptedEngine([delta(" Red.", ids=[5], finish="stop")])
    assert strict_response(asked(make_services(engine), input=history).json()).output_text == "Red."
