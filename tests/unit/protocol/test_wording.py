"""What clients are told is in plain words, none of a library's; and some words are relied on."""

import json
import re
from typing import Any

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.compatibility import OPENAI_FIELDS
from phiserve.protocol.messages import ROLES
from phiserve.protocol.parsing import parse_request

USER = {"role": "user", "content": "Hi"}
THEIRS = re.compile(r"\b(Input|Tuple|List|Dictionary|String|Value|Field|should|validation|valid \w+)\b")
"""As pydantic's messages begin, and what is in most of them."""


def message(fields: dict[str, Any]) -> str | None:
    """What is said of a request with these fields; None if it is in order."""
    try:
        parse_request(json.dumps({"model": "m", "messages": [USER]} | fields).encode(), ChatCompletionRequest)
    except InvalidRequest as error:
        return error.message
    return None


def content(*parts: object) -> dict[str, Any]:
    """A request whose message has these parts."""
    return {"messages": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"messages": []}, "messages: must have at least 1 item"),
        ({"messages": {}}, "messages: must be an array"),
        (content(), "messages[0].content: must have at least 1 item"),
        (content({"type": "text", "text": 1}), "messages[0].content[0].text: must be a string"),
        ({"messages": [USER | {"name": 1}]}, "messages[0].name: must be a string"),
        ({"messages": ["Hi"]}, f"messages[0]: role must be one of {', '.join(ROLES)}"),
        ({"stop": ["a"] * 5}, "stop: must have at most 4 items"),
        ({"stop": [""]}, "stop[0]: must have at least 1 character"),
        ({"temperature": "hot"}, "temperature: must be a number"),
        ({"temperature": 3}, "temperature: must be at most 2"),
        ({"top_p": -1}, "top_p: must be at least 0"),
        ({"repetition_penalty": 0}, "repetition_penalty: must be more than 0"),
        ({"seed": 2**63}, "seed: must be less than 9223372036854775808"),
        ({"max_tokens": 1.5}, "max_tokens: must be an integer"),
        ({"temperature": float("inf")}, "temperature: must be a finite number"),
        ({"stream": "yes"}, "stream: must be true or false"),
        ({"stream": True, "stream_options": []}, "stream_options: must be an object"),
        ({"logit_bias": []}, "logit_bias: must be an object"),
        ({"bad_words": [" "]}, r"bad_words[0]: must match the pattern \S"),
        ({"cache_salt": "a" * 2000}, "cache_salt: must have at most 1024 characters"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation: this parameter is not supported: nothing is obfuscated",
        ),
        ({"verbosity": "loud"}, "verbosity: must be 'low', 'medium' or 'high'"),
        ({"nonsense": 1}, "nonsense: this parameter is unknown"),
        (
            {"messages": [{"role": "tool", "content": ""}]},
            "messages[0].tool_call_id: this field is required",
        ),
        (
            content({"type": "input_audio"}),
            "messages[0].content[0]: type must be text or image_url or image_file or file "
            "in a message of this role; others are not supported",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0]: type must be text or refusal in a message of this role; "
            "others are not supported",
        ),
    ],
)
def test_plain_words(fields: dict[str, Any], expected: str) -> None:
    """For each kind of mistake, beginning with its place."""
    assert message(fields) == expected


def test_unknown_fields_may_be_null() -> None:
    """They ask for nothing; an empty list is a value."""
    assert message({"nonsense": None}) is None
    assert message({"nonsense": []}) == "nonsense: this parameter is unknown"


ODD: tuple[Any, ...] = (
    *(None, True, -1, 2**70, 0.5, float("inf"), float("nan"), "", "a", "\ud800"),
    *([], [None], [[]], {}, {"a": 1}, {"type": "text"}, [{"type": 1}], {"type": "json_schema"}),
)


@pytest.mark.parametrize("field", [*ChatCompletionRequest.model_fields, "message", "content", "call", "part"])
def test_no_words_of_a_library(field: str) -> None:
    """Whatever is sent where."""
    for odd in ODD:
        fields: dict[str, Any] = {
            "message": {"messages": [odd]},
            "content": {"messages": [USER | {"content": odd}]},
            "call": {"messages": [{"role": "assistant", "tool_calls": odd}]},
            "part": content(odd, {"type": "image_url", "image_url": odd}),
        }.get(field, {"stream": True, field: odd})
        said = message(fields) or ""
        _, _, reason = said.partition(": ")
        assert not THEIRS.search(reason), said


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        *(
            ({name: {"a": 1}}, f"{name}: this parameter is not supported: {field.note}")
            for name, field in OPENAI_FIELDS.items()
            if field.support == "refused"
        ),
        ({"audio": {}}, "audio: this parameter is not supported: audio output is not supported"),
        (
            {"include_stop_str_in_output": True},
            "include_stop_str_in_output: this parameter is not supported: "
            "an answer ends before its stop string",
        ),
        (
            {"structured_outputs": {"regex": "a"}, "bad_words": ["a"]},
            "bad_words: is not supported beside a form of the answer: together they might leave no token",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"not": {}}}}},
            "response_format.json_schema.schema.not: the keyword 'not' is not supported; "
            "it would not be enforced",
        ),
    ],
)
def test_words_that_clients_look_for(fields: dict[str, Any], expected: str) -> None:
    """`not supported`, as OpenAI says it: crewai tries again without tools only if it reads that of them."""
    assert message(fields) == expected
