"""The table of fields is complete, and what it says is so."""

import json
from pathlib import Path
from typing import Any

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.compatibility import EXTRA_FIELDS, OPENAI_FIELDS, compatibility
from phiserve.protocol.parsing import parse_chat_request
from phiserve.protocol.requests import ChatCompletionRequest

BASE = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def properties(schemas: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """All properties of a schema, inherited ones included."""
    if "$ref" in schema:
        return properties(schemas, schemas[schema["$ref"].rsplit("/", 1)[-1]])
    inherited = [properties(schemas, part) for part in schema.get("allOf", ())]
    return set(schema.get("properties", ())).union(*inherited)


def test_every_field_of_openai_has_an_entry(reference: Path) -> None:
    """OpenAI's specification is walked: a new field fails here until somebody decides about it."""
    schemas = json.loads((reference / "openai" / "openapi.json").read_text())["components"]["schemas"]
    assert properties(schemas, schemas["CreateChatCompletionRequest"]) == OPENAI_FIELDS.keys()


def test_the_request_class_agrees() -> None:
    """What is served or accepted is a field of the request, what is refused is not, and there is nothing else."""
    allowed = {name for name, field in OPENAI_FIELDS.items() if field.support != "refused"}
    assert ChatCompletionRequest.model_fields.keys() == allowed | set(EXTRA_FIELDS)


@pytest.mark.parametrize("name", sorted(name for name, field in OPENAI_FIELDS.items() if field.support == "refused"))
def test_refused_fields_say_why(name: str) -> None:
    """By name, with the reason that the table gives."""
    with pytest.raises(InvalidRequest) as caught:
        parse_chat_request(json.dumps(BASE | {name: None}).encode())
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert OPENAI_FIELDS[name].note in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("metadata", {"a": "b"}), ("prompt_cache_key", "k"), ("safety_identifier", "s")),
        *(("service_tier", "auto"), ("store", True), ("user", "u")),
    ],
)
def test_accepted_fields_are_allowed(name: str, value: object) -> None:
    """And listed as having no effect."""
    parse_chat_request(json.dumps(BASE | {name: value}).encode())
    assert OPENAI_FIELDS[name].support == "accepted"
    assert OPENAI_FIELDS[name].note


def test_plain_data() -> None:
    """The table as the route shows it."""
    table = compatibility()
    assert table["openai"]["stop"] == {"support": "served", "note": ""}
    assert table["extra"].keys() == set(EXTRA_FIELDS)
