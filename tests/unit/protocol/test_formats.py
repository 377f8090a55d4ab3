"""Constraints on the answer's form, as clients send them: checked by name and place, and compiled once."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from llguidance import LLMatcher
from pydantic import TypeAdapter

from phiserve.constraints import lark
from phiserve.errors import InvalidRequest
from phiserve.protocol import formats
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.formats import (
    JsonObjectFormat,
    JsonSchemaFormat,
    ResponseFormat,
    StructuredOutputs,
    TextFormat,
)
from phiserve.protocol.parsing import parse_off_loop

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORMAT = "response_format.json_schema"


def parse(**fields: Any) -> ChatCompletionRequest:
    """As the route does."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    return asyncio.run(parse_off_loop(json.dumps(body).encode(), ChatCompletionRequest))


def as_format(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}


def outputs(**fields: Any) -> dict[str, Any]:
    return {"structured_outputs": fields}


def nested(levels: int) -> dict[str, Any]:
    """A schema this many levels deep."""
    return {"items": nested(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"type": "text"}, TextFormat),
        ({"type": "json_object"}, JsonObjectFormat),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            JsonSchemaFormat,
        ),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, JsonSchemaFormat),
    ],
)
def test_response_formats(given: dict[str, Any], kind: type) -> None:
    """OpenAI's three kinds."""
    found: Any = TypeAdapter(ResponseFormat).validate_python(given)
    assert (found.constraint is None) is (kind is TextFormat)
    assert isinstance(found, kind)


@pytest.mark.parametrize(
    "given", [{"json": SCHEMA}, {"regex": "a+"}, {"choice": ["yes", "no"]}, {"grammar": 'root ::= "a"'}]
)
def test_structured_outputs(given: dict[str, Any]) -> None:
    """vLLM's kinds, one at a time."""
    found = StructuredOutputs.model_validate(given)
    assert found.model_dump(by_alias=True, exclude_none=True).keys() == given.keys()
    assert found.constraint.param == f"structured_outputs.{next(iter(given))}"
    assert found.constraint.grammar.startswith('%llguidance {"no_forcing": true}\nstart:')


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"response_format": {"type": "xml"}}, "response_format", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, FORMAT, "missing_required_parameter"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
            f"{FORMAT}.name",
            "invalid_value",
        ),
        (as_format(nested(40)), f"{FORMAT}.schema", "unsupported_schema"),
        (as_format({"x": "y" * 70_000}), f"{FORMAT}.schema", "unsupported_schema"),
        (as_format({"items": {"not": {}}}), f"{FORMAT}.schema.items.not", "unsupported_schema"),
        (as_format({"allOf": [{"type": "null"}, SCHEMA]}), f"{FORMAT}.schema.allOf", "unsupported_schema"),
        (outputs(json={"properties": {"a": 1}}), "structured_outputs.json.properties.a", "invalid_value"),
        (outputs(json={"properties": {"n" * 1000: {"not": {}}}}), None, "unsupported_schema"),
        (outputs(regex="(a"), "structured_outputs.regex", "unsupported_schema"),
        (outputs(regex=r"[^\s\S]"), "structured_outputs.regex", "unsupported_schema"),
        (outputs(grammar="root ::= root"), "structured_outputs.grammar", "unsupported_schema"),
        (outputs(grammar="%json {}"), "structured_outputs.grammar", "unsupported_schema"),
        (outputs(choice=["a" * 70_000]), "structured_outputs.choice", "unsupported_schema"),
        (outputs(), "structured_outputs", "invalid_value"),
        (outputs(regex="a", choice=["b"]), "structured_outputs", "invalid_value"),
        (outputs(choice=[]), "structured_outputs.choice", "invalid_value"),
        (outputs(regex="a" * 2000), "structured_outputs.regex", "invalid_value"),
        (outputs(regex="a") | {"response_format": {"type": "text"}}, "structured_outputs", "invalid_value"),
    ],
)
def test_errors_name_the_place(fields: dict[str, Any], param: str | None, code: str) -> None:
    """Path, code and type of each kind of mistake."""
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    error = caught.value
    assert error.code == code
    assert param is None or error.param == param
    assert len(error.message) < 1000
    assert error.message.startswith(f"{error.param}: ")


def test_a_lone_surrogate_is_no_text() -> None:
    """In a choice as anywhere in a request."""
    body = b'{"model":"m","messages":[],"structured_outputs":{"choice":["\\ud800"]}}'
    with pytest.raises(InvalidRequest):
        asyncio.run(parse_off_loop(body, ChatCompletionRequest))


@pytest.mark.parametrize(
    ("fields", "compiled"),
    [
        (as_format(SCHEMA), 1),
        ({"response_format": {"type": "json_object"}}, 1),
        (outputs(regex="a+"), 1),
        (outputs(choice=["a"]), 1),
        (outputs(grammar='root ::= "a"'), 1),
        (as_format({"allOf": [{"type": "null"}, SCHEMA]}), 1),
        (outputs(regex=r"[^\s\S]"), 1),
        (as_format({"not": {}}), 0),
        ({}, 0),
    ],
)
def test_a_constraint_is_compiled_once(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], compiled: int
) -> None:
    """By the time it is read, served or refused; what is refused here never gets to the library."""
    calls = []

    def matcher(*arguments: Any, **options: Any) -> LLMatcher:
        """Compiles, and remembers that."""
        calls.append(arguments)
        return LLMatcher(*arguments, **options)

    monkeypatch.setattr(lark, "LLMatcher", matcher)
    formats._any_object.cache_clear()  # compiled for the first request alone
    with suppress(InvalidRequest):
        assert (parse(**fields).constraint is not None) is bool(compiled)
    assert len(calls) == compiled
