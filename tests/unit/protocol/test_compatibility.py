"""The table of fields is complete, and what it says is so."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.compatibility import OPENAI_FIELDS, VLLM_FIELDS, Field, compatibility
from phiserve.protocol.parsing import parse_request

TABLE: dict[str, Field] = OPENAI_FIELDS | VLLM_FIELDS
BASE = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def properties(schemas: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """All properties of a schema, inherited ones included."""
    if "$ref" in schema:
        return properties(schemas, schemas[schema["$ref"].rsplit("/", 1)[-1]])
    found = dict(schema.get("properties", {}))
    for part in schema.get("allOf", ()):
        found |= properties(schemas, part)
    return found


def fields_of(schemas: dict[str, Any]) -> dict[str, Any]:
    """The fields of OpenAI's chat request."""
    return properties(schemas, schemas["CreateChatCompletionRequest"])


def test_every_field_of_openai_has_an_entry(reference: Path) -> None:
    """OpenAI's specification is walked: a new field fails here until somebody decides about it."""
    schemas = json.loads((reference / "openai" / "openapi.json").read_text())["components"]["schemas"]
    assert fields_of(schemas).keys() == OPENAI_FIELDS.keys()


def nullable(schemas: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether OpenAI's specification lets a value be null."""
    if "$ref" in schema:
        return nullable(schemas, schemas[schema["$ref"].rsplit("/", 1)[-1]])
    if schema.get("nullable") or schema.get("type") == "null":
        return True
    return any(nullable(schemas, part) for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, ()))


def test_null_is_allowed_where_openai_allows_it(reference: Path) -> None:
    """A field that OpenAI lets be null may be null here, whatever else becomes of it."""
    schemas = json.loads((reference / "openai" / "openapi.json").read_text())["components"]["schemas"]
    names = {name for name, schema in fields_of(schemas).items() if nullable(schemas, schema)}
    assert {"stop", "tools"} & names == {"stop"}
    parse_request(json.dumps(BASE | dict.fromkeys(names)).encode(), ChatCompletionRequest)


def test_the_request_class_agrees() -> None:
    """The request has a field for each of the table's entries, and there is nothing else."""
    assert ChatCompletionRequest.model_fields.keys() == OPENAI_FIELDS.keys() | VLLM_FIELDS.keys()
    assert not OPENAI_FIELDS.keys() & VLLM_FIELDS.keys()


def test_every_field_of_vllm_has_an_entry() -> None:
    """A new version's new field fails here until somebody decides about it."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest as TheirRequest

    assert TheirRequest.model_fields.keys() - OPENAI_FIELDS.keys() == VLLM_FIELDS.keys()


def test_vllms_defaults_pass() -> None:
    """Clients that write out every default of vLLM's ask for nothing that is refused."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest as TheirRequest

    fields = {name: TheirRequest.model_fields[name] for name in VLLM_FIELDS}
    defaults = {name: field.default for name, field in fields.items() if field.default_factory is None}
    for name, value in defaults.items():
        parse_request(json.dumps(BASE | {name: value}).encode(), ChatCompletionRequest)
    assert len(defaults) > 40


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("audio", {"voice": "alloy", "format": "mp3"}),),
        *(
            ("modalities", ["text", "audio"]),
            ("moderation", {"model": "m"}),
            ("prediction", {"type": "content", "content": "x"}),
        ),
        *(
            ("prompt_cache_options", {"mode": "explicit"}),
            ("prompt_cache_retention", "24h"),
        ),
        *(),
        ("web_search_options", {}),
        *(
            ("use_beam_search", True),
            ("return_prompt_text", 0),
            ("prompt_logprobs", 0),
            ("stream_interval", True),
            ("chat_template_kwargs", {"a": 1}),
        ),
    ],
)
def test_refused_fields_say_why(name: str, value: object) -> None:
    """By name, with the reason that the table gives."""
    with pytest.raises(InvalidRequest) as caught:
        parse_request(json.dumps(BASE | {name: value}).encode(), ChatCompletionRequest)
    assert (caught.value.param, caught.value.code) == (name, "unsupported_parameter")
    assert caught.value.message == f"{name}: this parameter is not supported: {TABLE[name].note}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, field in sorted(TABLE.items())
        if field.support == "refused"
        for value in (None, *field.allowed)
    ],
)
def test_a_refused_field_may_ask_for_nothing(name: str, value: object) -> None:
    """Null and the values that the table allows pass, and leave no trace."""
    assert (
        getattr(parse_request(json.dumps(BASE | {name: value}).encode(), ChatCompletionRequest), name) is None
    )


def test_allowed_values_are_openais(reference: Path) -> None:
    """What a refused field allows is a value that OpenAI knows."""
    schemas = json.loads((reference / "openai" / "openapi.json").read_text())["components"]["schemas"]
    for name, schema in fields_of(schemas).items():
        for value in OPENAI_FIELDS[name].allowed:
            jsonschema.validate(value, {"components": {"schemas": schemas}, **schema})


def test_the_document_says_what_passes() -> None:
    """The JSON schema of a refused field is the list of its allowed values."""
    properties = ChatCompletionRequest.model_json_schema()["properties"]
    assert properties["modalities"] == {
        "enum": [None, ["text"]],
        "description": "Not supported: the model answers in text",
    }
    assert properties["audio"]["enum"] == [None]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("metadata", {"a": "b"}),
            ("prompt_cache_key", "k"),
            ("safety_identifier", "s"),
        ),
        *(("store", True), ("user", "u")),
        *(("reasoning_effort", "minimal"), ("reasoning_effort", "max"), ("verbosity", "high")),
    ],
)
def test_accepted_fields_are_allowed(name: str, value: object) -> None:
    """And listed as having no effect."""
    parse_request(json.dumps(BASE | {name: value}).encode(), ChatCompletionRequest)
    assert OPENAI_FIELDS[name].support == "accepted"
    assert OPENAI_FIELDS[name].note


def test_every_effort_of_openais_is_accepted(reference: Path) -> None:
    """Clients set one by default."""
    schemas = json.loads((reference / "openai" / "openapi.json").read_text())["components"]["schemas"]
    for name, schema in (("reasoning_effort", "ReasoningEffort"), ("verbosity", "Verbosity")):
        values = schemas[schema]["anyOf"][0]["enum"]
        assert len(values) >= 3
        for value in values:
            parse_request(json.dumps(BASE | {name: value}).encode(), ChatCompletionRequest)


def test_plain_data() -> None:
    """The table as the route shows it."""
    table = compatibility()
    assert table["openai"]["stop"] == {"support": "served", "note": ""}
    assert table["openai"]["modalities"] == {
        "support": "refused",
        "note": "the model answers in text",
        "allowed": [None, ["text"]],
    }
    assert table["extra"].keys() == VLLM_FIELDS.keys()
    assert table["extra"]["use_beam_search"] == {
        "support": "refused",
        "note": "answers are sampled",
        "allowed": [None, False],
    }
