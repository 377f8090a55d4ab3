"""The table of a Responses request's fields is complete, and what it says is so."""

import json
from pathlib import Path

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.compatibility import (
    ALL_RESPONSES_FIELDS,
    RESPONSES_FIELDS,
    RESPONSES_VLLM_FIELDS,
)
from phiserve.protocol.responses.request import ResponsesRequest
from unit.protocol.test_compatibility import properties

REFUSED = [name for name, field in ALL_RESPONSES_FIELDS.items() if field.support == "refused"]


def test_every_field_of_openai_has_an_entry(reference: Path) -> None:
    """OpenAI's specification is walked: a new field fails here until somebody decides about it."""
    schemas = json.loads((reference / "openai" / "openapi.json").read_text())["components"]["schemas"]
    assert properties(schemas, schemas["CreateResponse"]).keys() == RESPONSES_FIELDS.keys()


def test_the_request_has_these_fields() -> None:
    """And no others, beside vLLM's."""
    assert ResponsesRequest.model_fields.keys() == ALL_RESPONSES_FIELDS.keys()
    assert not RESPONSES_FIELDS.keys() & RESPONSES_VLLM_FIELDS.keys()


def test_every_field_of_vllm_has_an_entry() -> None:
    """A new version's new field fails here until somebody decides about it; its chat request has more."""
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest as TheirRequest

    theirs = TheirRequest.model_fields.keys() - RESPONSES_FIELDS.keys()
    assert RESPONSES_VLLM_FIELDS.keys() - theirs == {"allowed_token_ids", "bad_words", "min_tokens"}
    assert theirs <= RESPONSES_VLLM_FIELDS.keys()


def test_vllms_defaults_pass() -> None:
    """Clients that write out every default of vLLM's ask for nothing that is refused."""
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest as TheirRequest

    fields = {name: TheirRequest.model_fields.get(name) for name in RESPONSES_VLLM_FIELDS}
    for name, field in fields.items():
        if field is not None and field.default_factory is None:
            parse_request(json.dumps({"input": "Hi", name: field.default}).encode(), ResponsesRequest)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_fields(name: str) -> None:
    """Values that ask for nothing pass; any other is refused by name."""
    for value in (None, *ALL_RESPONSES_FIELDS[name].allowed):
        parse_request(json.dumps({"input": "Hi", name: value}).encode(), ResponsesRequest)
    with pytest.raises(InvalidRequest) as refusal:
        parse_request(json.dumps({"input": "Hi", name: {"some": "thing"}}).encode(), ResponsesRequest)
    assert (refusal.value.param, refusal.value.code) == (name, "unsupported_parameter")
