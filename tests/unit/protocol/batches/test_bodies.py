"""Requests of batches: validated as their routes do, with what nobody waits for refused."""

import json
from typing import Any

import pytest

from phiserve.protocol.batches.bodies import WIRES, NamedId, check_line, read_request
from phiserve.protocol.batches.lines import URLS, BatchError, BatchLine, BatchUrl, LineRefused

BODIES: dict[BatchUrl, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/v1/responses": {"input": "Hi"},
    "/v1/decisions": {"input": "Hi", "questions": [{"type": "predicate", "instructions": "Is it?"}]},
    "/v1/completions": {"prompt": "Hi"},
}


def refusal(url: BatchUrl, **fields: Any) -> BatchError:
    """Why a line is refused."""
    body = json.dumps(BODIES[url] | fields).encode()
    with pytest.raises(LineRefused) as caught:
        check_line(BatchLine(4, "a", url, body, None, ""))
    return caught.value.error


@pytest.mark.parametrize("url", URLS)
def test_each_route_s_own(url: BatchUrl) -> None:
    """The body is what the route takes; another route's is not."""
    assert isinstance(read_request(url, json.dumps(BODIES[url]).encode()), WIRES[url])
    error = refusal(url, messages=[], prompt="", input=[])
    assert error.line == 4
    assert error.param is not None
    assert error.param.startswith("body.")
    assert error.message.startswith(f"{error.param}: ")


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("/v1/chat/completions", "stream"),
        ("/v1/completions", "stream"),
        ("/v1/responses", "stream"),
        ("/v1/responses", "background"),
        ("/v1/responses", "store"),
        ("/v1/responses", "conversation"),
    ],
)
def test_what_a_batch_has_no_use_for(url: BatchUrl, field: str) -> None:
    """It is refused by its name; false, it says what holds anyway."""
    error = refusal(url, **{field: "conv_1" if field == "conversation" else True})
    assert (error.code, error.param) == ("unsupported_parameter", f"body.{field}")
    if field != "conversation":
        read_request(url, json.dumps(BODIES[url] | {field: False}).encode())


def test_a_chat_may_ask_to_be_stored() -> None:
    """That has no effect at its route either, and clients send it."""
    read_request(
        "/v1/chat/completions", json.dumps(BODIES["/v1/chat/completions"] | {"store": True}).encode()
    )


def test_the_path_of_what_is_wrong() -> None:
    """It is the route's, within the body."""
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]
    error = refusal("/v1/chat/completions", messages=messages)
    assert (error.code, error.param) == ("invalid_type", "body.messages[0].content[0].image_url.url")


FILE = {"type": "input_file", "file_id": "b", "pages": "1"}
IMAGE = {"type": "input_image", "file_id": "a"}
NAMING: list[tuple[BatchUrl, dict[str, Any], list[tuple[str, str]]]] = [
    (
        "/v1/chat/completions",
        {
            "messages": [
                {"role": "user", "content": "file_id"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is it?"},
                        {"type": "image_file", "image_file": {"file_id": "a"}},
                        {"type": "file", "file": {"file_id": "b"}},
                        {"type": "image_url", "image_url": {"url": "https://a.example/c"}},
                    ],
                },
            ]
        },
        [("a", "messages[1].content[1].image_file.file_id"), ("b", "messages[1].content[2].file.file_id")],
    ),
    (
        "/v1/responses",
        {
            "input": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "x", "annotations": [{"file_id": "none"}]}],
                },
                {"role": "user", "content": [IMAGE, FILE]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"file_id": "none"}'},
                {"type": "function_call_output", "call_id": "c", "output": [IMAGE]},
            ]
        },
        [
            ("a", "input[1].content[0].file_id"),
            ("b", "input[1].content[1].file_id"),
            ("a", "input[3].output[0].file_id"),
        ],
    ),
    (
        "/v1/decisions",
        {
            "input": [{"type": "message", "role": "user", "content": [IMAGE]}],
            "questions": [{"type": "predicate", "instructions": [{"type": "input_text", "text": "?"}, FILE]}],
        },
        [("a", "input[0].content[0].file_id"), ("b", "questions[0].instructions[1].file_id")],
    ),
    ("/v1/completions", {"prompt": '"file_id"'}, []),
]


@pytest.mark.parametrize(("url", "fields", "named"), NAMING)
def test_files_that_a_line_names(url: BatchUrl, fields: dict[str, Any], named: list[tuple[str, str]]) -> None:
    """Wherever a route looks for them, with their paths, and nowhere else."""
    body = json.dumps(BODIES[url] | fields).encode()
    found = check_line(BatchLine(4, "a", url, body, None, ""))
    assert found == [NamedId(file_id, f"body.{path}") for file_id, path in named]
