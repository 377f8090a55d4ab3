"""Constraints on the answer's form, as clients send them."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from phiserve.protocol.formats import (
    JsonObjectFormat,
    JsonSchemaFormat,
    ResponseFormat,
    StructuredOutputs,
    TextFormat,
)

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


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
    assert isinstance(TypeAdapter(ResponseFormat).validate_python(given), kind)


@pytest.mark.parametrize(
    "given", [{"json": SCHEMA}, {"regex": "a+"}, {"choice": ["yes", "no"]}, {"grammar": 'root ::= "a"'}]
)
def test_structured_outputs(given: dict[str, Any]) -> None:
    """vLLM's kinds, one at a time."""
    assert (
        StructuredOutputs.model_validate(given).model_dump(by_alias=True, exclude_none=True).keys()
        == given.keys()
    )
