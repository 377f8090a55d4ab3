"""Calls on the wire: whole, and streamed as OpenAI's clients put them together."""

import json
import re
from typing import Any

import pytest

from phiserve.answer import VisibleDelta
from phiserve.api.call_writer import CallingChoice, finish_reason_of, message_of
from phiserve.chat.call_reader import read_answer
from phiserve.core import FinishReason, TokenLogprob
from phiserve.protocol.events import encode_json
from phiserve.protocol.tools import CallsAs

ANSWER = 'functools[{"name":"look","arguments":{"at":"[}"}},{"name":"stop","arguments":{}}]'
CALL_ID = re.compile(r"call_[0-9a-f]{24}")


def visible(
    text: str, finish: FinishReason | None = None, token: int = 7, logprob: bool = False
) -> VisibleDelta:
    """A delta of one token."""
    logprobs = [TokenLogprob(text, -1.0, list(text.encode()), [])] if logprob else None
    return VisibleDelta(3, text, logprobs, [token], finish)


def streamed(
    texts: list[str],
    finish: FinishReason = "stop",
    calls_as: CallsAs = "tool_calls",
    *,
    with_extras: bool = False,
) -> list[dict[str, Any]]:
    """The parts of chunks for these texts, as clients read them."""
    writer = CallingChoice(3, calls_as, with_token_ids=with_extras)
    deltas = [visible(text, token=number, logprob=with_extras) for number, text in enumerate(texts)]
    parts = [part for delta in deltas for part in writer.feed(delta)]
    parts += writer.feed(VisibleDelta(3, "", None, [99], finish))
    found: list[dict[str, Any]] = [json.loads(encode_json(part)) for part in parts]
    assert {part["index"] for part in found} == {3}
    assert [part["finish_reason"] for part in found[:-1]] == [None] * (len(found) - 1)
    return found


def test_streamed_calls() -> None:
    """The role with the first call; each call's id, type and name once; then its arguments by its number."""
    first, *parts = streamed(
        ['functools[{"name":"look","arguments":{"at', '":"[}"', '}},{"name":"stop",', ANSWER[-16:]]
    )
    head = first["delta"]["tool_calls"][0]
    assert CALL_ID.fullmatch(head.pop("id"))
    assert first["delta"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"index": 0, "type": "function", "function": {"name": "look", "arguments": ""}}],
    }
    second_id = parts[3]["delta"]["tool_calls"][0].pop("id")
    assert CALL_ID.fullmatch(second_id)
    assert [part["delta"] for part in parts] == [
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"at'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '":"[}"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        {"tool_calls": [{"index": 1, "type": "function", "function": {"name": "stop", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert parts[-1]["finish_reason"] == "tool_calls"


def test_streamed_function_call() -> None:
    """OpenAI's older form has no number and no id."""
    parts = streamed([*'functools[{"name":"f","arguments":{"a":1}}]'], calls_as="function_call")
    assert parts[0]["delta"] == {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "f", "arguments": ""},
    }
    assert "".join(part["delta"]["function_call"]["arguments"] for part in parts[1:-1]) == '{"a":1}'
    assert (parts[-1]["delta"], parts[-1]["finish_reason"]) == ({}, "function_call")


@pytest.mark.parametrize("texts", [["Hello"], ["fun", "ction"], ["functools"], ["f"], [""], [" fun"]])
def test_streamed_text(texts: list[str]) -> None:
    """The role before it, alone; nothing of it is lost for having looked like a call."""
    parts = streamed(texts)
    assert parts[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(part["delta"].get("content", "") for part in parts) == "".join(texts)
    assert parts[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("length", range(len(ANSWER)))
def test_an_answer_that_was_cut(length: int) -> None:
    """It ends with its length, whatever of its calls came; streamed, it is the same as whole."""
    parts = streamed([*ANSWER[:length]], finish="length")
    assert parts[0]["delta"]["role"] == "assistant"
    assert parts[-1]["finish_reason"] == "length"
    calls: list[dict[str, str]] = []
    for part in parts:
        for call in part["delta"].get("tool_calls", ()):
            if call["index"] == len(calls):
                calls.append({"name": call["function"]["name"], "arguments": ""})
            calls[call["index"]]["arguments"] += call["function"]["arguments"]
    read = read_answer(ANSWER[:length])
    assert calls == [{"name": call.name, "arguments": call.arguments} for call in read.calls]
    assert finish_reason_of("length", "tool_calls", is_whole=read.is_whole) == "length"


def test_tokens_are_shown_with_what_they_are_of() -> None:
    """All ids, log-probabilities of text alone; those held back come with the text that was."""
    text = streamed(["fun", "ction", "!"], with_extras=True)
    assert [part.get("token_ids") for part in text] == [None, [0, 1], [2], [99]]
    assert [
        "".join(one["token"] for one in part["logprobs"]["content"]) if "logprobs" in part else None
        for part in text
    ] == [None, "function", "!", None]
    calls = streamed([*ANSWER], with_extras=True)
    assert not any("logprobs" in part for part in calls)
    assert [one for part in calls for one in part.get("token_ids", ())] == [*range(len(ANSWER)), 99]


def test_whole_messages() -> None:
    """Calls and no content, or content and no calls; cut before any name, neither."""
    message = json.loads(encode_json(message_of(read_answer(ANSWER), "tool_calls")))
    ids = [call.pop("id") for call in message["tool_calls"]]
    assert len(set(ids)) == 2
    assert all(map(CALL_ID.fullmatch, ids))
    assert message == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"type": "function", "function": {"name": "look", "arguments": '{"at":"[}"}'}},
            {"type": "function", "function": {"name": "stop", "arguments": "{}"}},
        ],
    }
    older = json.loads(encode_json(message_of(read_answer(ANSWER), "function_call")))
    assert older["function_call"] == {"name": "look", "arguments": '{"at":"[}"}'}
    text = json.loads(encode_json(message_of(read_answer("Hi"), "tool_calls")))
    assert text == {"role": "assistant", "content": "Hi", "refusal": None}
    cut = json.loads(encode_json(message_of(read_answer('functools[{"na'), "tool_calls")))
    assert cut == {"role": "assistant", "content": None, "refusal": None}


@pytest.mark.parametrize(
    ("reason", "is_whole", "said"),
    [("stop", True, "tool_calls"), ("length", True, "length"), ("stop", False, "stop")],
)
def test_finish_reasons(reason: FinishReason, is_whole: bool, said: str) -> None:
    """An answer ends with calls only where they came to their end, and it ended there by itself."""
    assert finish_reason_of(reason, "tool_calls", is_whole=is_whole) == said
