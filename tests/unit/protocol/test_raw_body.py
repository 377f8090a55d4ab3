"""What is known of a body before it is decoded."""

import json
import random
from typing import Any

import pytest

from phiserve.protocol import raw_body
from phiserve.protocol.raw_body import MAX_VALUES, decodes_quickly, holds_too_many_values

USER = {"role": "user", "content": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
TRICKY = 'a,[{\\"'
"""Characters that separate values, and those that begin and end texts."""


def content(*parts: Any) -> list[Any]:
    return [USER, {"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("fields", "quick"),
    [
        ({"stop": "x" * 10}, True),
        ({"messages": content(IMAGE)}, True),
        ({"messages": content(IMAGE, IMAGE, IMAGE)}, False),
        ({"messages": content(*[{"type": "text", "text": "word"}] * 1000)}, False),
        ({"stop_token_ids": [1] * 10_000}, False),
    ],
    ids=["short", "an image", "several images", "many parts", "many numbers"],
)
def test_what_decodes_quickly(fields: dict[str, Any], quick: bool) -> None:
    """What is short, and what is long for a few strings."""
    assert decodes_quickly(json.dumps({"model": "m", "messages": [USER]} | fields).encode()) is quick


@pytest.mark.parametrize(
    "separated",
    [
        b"[" + b",".join([b"{}"] * MAX_VALUES) + b"]",
        b"[" + b",".join([b"1"] * MAX_VALUES) + b"]",
        b'{"a":[' + b",".join([b'"a"'] * MAX_VALUES) + b"]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(MAX_VALUES)) + b"}",
        b"[" * 3 * MAX_VALUES + b"," * MAX_VALUES,
    ],
    ids=["objects", "numbers", "texts", "fields", "no JSON"],
)
def test_too_many_values(separated: bytes) -> None:
    """Whatever they are."""
    assert holds_too_many_values(separated)


@pytest.mark.parametrize(
    "text",
    ["x" * 3_000_000, ",[{" * MAX_VALUES, '\\",' * MAX_VALUES, "\\," * MAX_VALUES, "," * 1000],
    ids=["letters", "separators", "quotes", "backslashes", "few"],
)
def test_long_texts_are_one_value(text: str) -> None:
    """A text may hold what looks like JSON."""
    assert not holds_too_many_values(json.dumps({"messages": [{"content": text}]}).encode())


def test_what_is_near_the_limit() -> None:
    """The longest conversation that is taken, beside a schema of many values."""
    parts = [{"type": "text", "text": "Hi there"}]
    messages = [{"role": "user", "content": parts}] * 10_000
    fields = {"messages": messages, "response_format": {"enum": [1] * 32_000}}
    assert not holds_too_many_values(json.dumps(fields).encode())


def test_values_are_counted_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for empty lists and objects, which these have not; also where a chunk ends within an escape."""
    monkeypatch.setattr(raw_body, "_CHUNK_BYTES", 7)
    draw = random.Random(1)
    for _ in range(2000):
        document = value(draw)
        body, separators = json.dumps(document).encode(), values(document) - 1
        assert not raw_body._holds_separators_outside_strings(body, separators + 1)
        assert separators == 0 or raw_body._holds_separators_outside_strings(body, separators)


def value(draw: random.Random, depth: int = 0) -> object:
    """Any value of tricky texts."""
    kind = draw.random() if depth < 4 else 0.0
    text = "".join(draw.choices(TRICKY, k=draw.randrange(9)))
    if kind < 0.5:
        return text
    children = [value(draw, depth + 1) for _ in range(draw.randrange(1, 4))]
    return children if kind < 0.75 else {f"{index}{text}": child for index, child in enumerate(children)}


def values(document: object) -> int:
    """How many there are in all."""
    if isinstance(document, dict):
        return 1 + sum(map(values, document.values()))
    return 1 + sum(map(values, document)) if isinstance(document, list) else 1
