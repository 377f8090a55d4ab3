"""Lines of batch files: read, refused with their numbers, put in order, written."""

import json
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from phiserve.protocol.batches.lines import (
    URLS,
    BatchError,
    LineFailure,
    LineRefused,
    LineResponse,
    answered_line,
    failed_line,
    read_line,
)

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
LINE = {"custom_id": "a", "method": "POST", "url": CHAT, "body": BODY}


def line(**changes: Any) -> bytes:
    """A line of a batch file; a field that is None is left out."""
    fields = LINE | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def refusal(text: bytes, number: int = 7) -> BatchError:
    """Why a line is refused."""
    with pytest.raises(LineRefused) as caught:
        read_line(text, number)
    return caught.value.error


@pytest.mark.parametrize("url", URLS)
def test_what_a_line_says(url: str) -> None:
    """The body stays as it came, byte for byte."""
    body = '{"model": "m" , "messages":[ ],"seed":1.0}'
    text = f'\ufeff{{"custom_id":"ä","method":"POST","url":"{url}","body":{body}}}'.encode()
    read = read_line(text, 3)
    assert (read.number, read.custom_id, read.url, read.body, read.model) == (3, "ä", url, body.encode(), "m")


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b'{"custom_id": "\xff"}', "invalid_json_line", None),
        (b"[" * 100_000, "invalid_type", None),
        (b'{"body":' + b"[" * 100_000 + b"}", "invalid_json_line", None),
        (b"[]", "invalid_type", None),
        (line(more=1), "unknown_parameter", "more"),
        (line(custom_id=None), "missing_required_parameter", "custom_id"),
        (line(custom_id=1), "invalid_type", "custom_id"),
        (line(custom_id=""), "invalid_value", "custom_id"),
        (line(custom_id="a" * 513), "invalid_value", "custom_id"),
        (line(custom_id="\0"), "invalid_value", "custom_id"),
        (line(custom_id="\ud800"), "invalid_json_line", None),
        (line(method=None), "missing_required_parameter", "method"),
        (line(method="GET"), "invalid_method", "method"),
        (line(url="/v1/embeddings"), "invalid_url", "url"),
        (line(url=None), "missing_required_parameter", "url"),
        (line(body=None), "missing_required_parameter", "body"),
        (line(body=[1]), "invalid_type", "body"),
        (line(body={"model": [0] * 200_000}), "invalid_value", "body"),
    ],
)
def test_what_is_no_line(text: bytes, code: str, param: str | None) -> None:
    """The error names the line and the field."""
    error = refusal(text)
    assert (error.code, error.param, error.line) == (code, param, 7)
    assert param is None or error.message.startswith(f"{param}: ")


def asking(*parts: str | dict[str, Any], system: str = "Be brief") -> bytes:
    """A line that asks about images, each by its URL."""
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
    return line(body={"messages": messages})


def image(url: str) -> dict[str, Any]:
    """An image of a chat."""
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def test_the_order_brings_together_what_is_shared() -> None:
    """Questions about one image, wherever it stands, then prompts of one beginning."""
    a, b = image("data:image/png;base64,AAAA"), image("http://x/b.png")
    texts = [
        asking(a, "What?"),
        asking(b, "What?"),
        asking("Where?", a),
        asking("Long ago", system="Of old"),
        asking(b, "Where?"),
        asking("Hi"),
        asking("Long since", system="Of old"),
        asking(a, b, "Which?"),
    ]
    read = [read_line(text, number) for number, text in enumerate(texts)]
    in_order = [one.number for one in sorted(read, key=lambda one: (one.group, one.number))]
    places = {number: place for place, number in enumerate(in_order)}
    for together in ((0, 2, 7), (1, 4), (3, 6)):
        at = sorted(places[number] for number in together)
        assert at == list(range(at[0], at[0] + len(together)))
    assert all(one.group.isascii() for one in read)


def test_images_and_files_of_all_routes() -> None:
    """What is shown is known by where it is, whichever field says it."""
    shown = [
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "file-1"}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "file-1"}]}]},
        {"messages": [{"role": "user", "content": [image("file-1")]}]},
    ]
    (group,) = {read_line(line(body=body), 1).group for body in shown}
    assert group[:16] != "0" * 16


def next_to_each_other(bodies: list[dict[str, Any]], share: list[int]) -> bool:
    """Whether lines of equal `share` stand in a row, in the order of their groups."""
    groups = [read_line(line(body=body), number).group for number, body in enumerate(bodies)]
    assert max(map(len, groups)) <= 240
    in_order = [share[number] for number in sorted(range(len(bodies)), key=lambda n: (groups[n], n))]
    return sum(one != other for one, other in pairwise(in_order)) == len({*share}) - 1


def test_long_texts_behind_a_common_beginning() -> None:
    """Questions about the same text stand together, though all have one long beginning."""
    system = "You answer from the text alone. " * 10
    texts = ["".join(Random(seed).choices("abc \u00e4\n", k=20_000)) for seed in range(10)]
    asked = [(text, question) for text in range(10) for question in range(20)]
    Random(1).shuffle(asked)
    bodies = [
        {
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": f"{texts[text]}\n\nQuestion {question}?"},
            ]
        }
        for text, question in asked
    ]
    assert next_to_each_other(bodies, [text for text, _ in asked])


def test_beginnings_within_beginnings() -> None:
    """Of ever longer common beginnings each stands together: halves, quarters, eighths."""
    numbers = [*range(64)]
    Random(2).shuffle(numbers)
    words = [" ".join(f"{number >> bit:>06} " * 9 for bit in range(6, -1, -1)) for number in numbers]
    bodies = [{"prompt": text} for text in words]
    for bits in (5, 4, 3, 2, 1):
        assert next_to_each_other(bodies, [number >> bits for number in numbers])


@pytest.mark.parametrize("is_list", [False, True])
def test_prompts_of_tokens(is_list: bool) -> None:
    """Stand together by what they begin with, as texts do."""
    asked = [(text, question) for question in range(8) for text in range(6)]
    shared = [Random(text).choices(range(32_000), k=300) for text in range(6)]
    prompts = [[1, 2, 3] * 20 + shared[text] + [question] for text, question in asked]
    bodies = [{"prompt": [prompt] if is_list else prompt} for prompt in prompts]
    assert next_to_each_other(bodies, [text for text, _ in asked])


def test_lines_of_outputs() -> None:
    """OpenAI's form; the answer's JSON stays as it is."""
    body = msgspec.Raw(b'{"id": 1.0, "text":"\\u2028"}')
    written = answered_line("batch_req_1", "a", LineResponse(200, "req_1", body))
    assert written == (
        b'{"id":"batch_req_1","custom_id":"a","response":{"status_code":200,"request_id":"req_1","body":'
        b'{"id": 1.0, "text":"\\u2028"}},"error":null}\n'
    )
    written = failed_line("batch_req_1", "a", LineFailure("batch_expired", "Too late"))
    assert json.loads(written) == {
        "id": "batch_req_1",
        "custom_id": "a",
        "response": None,
        "error": {"code": "batch_expired", "message": "Too late"},
    }
