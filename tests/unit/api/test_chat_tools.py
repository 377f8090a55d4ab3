"""Tools through the chat route, around a scripted engine."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from phiserve.api.services import Services
from phiserve.core import Conversation, GenerationRequest
from phiserve.engine.interface import Admission
from scripted import ScriptedEngine, delta
from wire import events, post

MakeServices = Callable[..., Services]

LOOK = {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": LOOK}]
CALL = ' functools[{"name":"look","arguments":{"at":"me"}}]'
CALLING = [delta(CALL[:9]), delta(CALL[9:30], ids=[5]), delta(CALL[30:], ids=[6], finish="stop")]


@dataclass
class Asked(ScriptedEngine):
    """An engine that keeps what it was asked."""

    requests: list[GenerationRequest] = field(default_factory=list)

    async def admit(self, request: GenerationRequest) -> Admission:
        self.requests.append(request)
        return await super().admit(request)


def test_an_answer_that_calls(make_services: MakeServices) -> None:
    """The engine gets a prompt that tells the tools, and the grammar of calls; the client gets calls."""
    engine = Asked(CALLING)
    body = post(make_services(engine), tools=TOOLS, tool_choice="required").json()
    (choice,) = body["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert (call["function"], call["type"]) == ({"name": "look", "arguments": '{"at":"me"}'}, "function")
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    (request,) = engine.requests
    assert isinstance(request.conversation, Conversation)
    told, user = request.conversation.turns
    assert (told.role, user.role) == ("system", "user")
    assert "look" in str(told.parts)
    assert request.constraint is not None
    assert request.constraint.param == "tools"


def test_a_stream_that_calls(make_services: MakeServices) -> None:
    """As OpenAI's clients put it together, with usage and the end mark as ever."""
    response = post(
        make_services(ScriptedEngine(CALLING)),
        functions=[LOOK],
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, usage, end = events(response)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "look", "arguments": ""},
    }
    assert "".join(one["function_call"]["arguments"] for one in deltas[:-1]) == '{"at":"me"}'
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"
    assert (usage["choices"], end) == ([], "[DONE]")


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_was_hardly_begun(make_services: MakeServices, stream: bool) -> None:
    """It is no text, where nothing but calls could come, and has no log-probabilities."""
    engine = ScriptedEngine([delta(" fun"), delta("ct", ids=[5], finish="length")])
    services = make_services(engine)
    response = post(services, tools=TOOLS, tool_choice="required", stream=stream, logprobs=True)
    if not stream:
        (choice,) = response.json()["choices"]
        assert choice["message"] == {"role": "assistant", "content": None, "refusal": None}
        assert (choice["finish_reason"], choice["logprobs"]) == ("length", None)
        return
    first, last = (chunk["choices"][0] for chunk in events(response)[:-1])
    assert first["delta"] == {"role": "assistant", "content": None}
    assert (last["delta"], last["finish_reason"], last.get("logprobs")) == ({}, "length", None)


def test_an_answer_in_words(make_services: MakeServices) -> None:
    """Where no call must be made, text is text."""
    choice = post(make_services(ScriptedEngine([delta(" Hi", finish="stop")])), tools=TOOLS).json()[
        "choices"
    ][0]
    assert choice["message"] == {"role": "assistant", "content": "Hi", "refusal": None}
    assert choice["finish_reason"] == "stop"


def test_tools_that_are_not_to_be_called(make_services: MakeServices) -> None:
    """Are not told, and what looks like a call is text."""
    engine = Asked(CALLING)
    body = post(make_services(engine), tools=TOOLS, tool_choice="none").json()
    assert body["choices"][0]["message"]["content"] == CALL.strip()
    (request,) = engine.requests
    assert request.constraint is None
    assert isinstance(request.conversation, Conversation)
    assert [turn.role for turn in request.conversation.turns] == ["user"]


@pytest.mark.parametrize("fields", [{"tools": TOOLS}, {"functions": [LOOK]}])
def test_tokenize_counts_the_tools(make_services: MakeServices, fields: dict[str, Any]) -> None:
    """The same prompt as an answer's."""
    services = make_services(ScriptedEngine([delta("Hi", ids=[1], finish="stop")]))
    counted = post(services, path="/tokenize", **fields).json()["count"]
    assert counted == post(services, **fields).json()["usage"]["prompt_tokens"]
    assert counted > post(services, path="/tokenize").json()["count"]


def test_words_of_refusals(make_services: MakeServices) -> None:
    """Clients go by them: crewai asks again without tools where they are said not to be supported, and
    llama-index shows what to do about a choice without tools.
    """
    services = make_services(ScriptedEngine())
    custom = post(services, tools=[{"type": "custom", "custom": {"name": "f"}}]).json()["error"]
    assert custom["message"] == "tools[0].type: custom tools are not supported; type must be 'function'"
    assert custom["code"] == "unsupported_parameter"
    choice = post(services, tool_choice="required").json()["error"]
    assert choice["message"] == (
        "tool_choice: needs tools: send the functions that may be called in tools, or leave tool_choice out"
    )
