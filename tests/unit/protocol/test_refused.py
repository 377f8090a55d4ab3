"""What passes of a field that is refused, and how the document says so."""

import pytest
from pydantic import ConfigDict, ValidationError

from phiserve.protocol.compatibility import COMPLETIONS_FIELDS, VLLM_FIELDS, Field
from phiserve.protocol.refused import (
    Refused,
    RefusedChatExtras,
    RefusedExtras,
    asks_for_nothing,
    describer,
)
from phiserve.protocol.wire_model import WireModel


class Request(WireModel):
    """A request with one field that is refused and one of another kind."""

    model_config = ConfigDict(json_schema_extra=describer(VLLM_FIELDS))

    stream_interval: Refused = None
    user: str | None = None


def test_values_that_ask_for_nothing() -> None:
    """Null and what the table allows; true is not 1, and 1.0 is."""
    field = Field("refused", "", allowed=(1, False, {}))
    nothing: list[object] = [None, 1, 1.0, False, {}]
    something: list[object] = [True, 0, [], "", {"a": 1}]
    assert all(asks_for_nothing(field, value) for value in nothing)
    assert not any(asks_for_nothing(field, value) for value in something)


def test_what_passes_leaves_no_trace() -> None:
    """And what does not is an error that gives the table's reason."""
    assert Request.model_validate({"stream_interval": 1}).stream_interval is None
    with pytest.raises(ValidationError, match=VLLM_FIELDS["stream_interval"].note):
        Request.model_validate({"stream_interval": 2})


def test_the_document_says_what_passes() -> None:
    """Of refused fields alone, and of those that the request has."""
    properties = Request.model_json_schema()["properties"]
    assert properties.keys() == {"stream_interval", "user"}
    assert properties["stream_interval"] == {
        "enum": [None, 1],
        "description": "Not supported: every step of the engine is a chunk",
    }
    assert "enum" not in properties["user"]


def test_every_refused_extra_has_its_field() -> None:
    """Those of the table, and no others."""
    refused = {name for name, field in VLLM_FIELDS.items() if field.support == "refused"}
    assert RefusedChatExtras.model_fields.keys() == refused


def test_extras_of_completions_are_theirs() -> None:
    """All that its table refuses, but for the two that have fields of their own."""
    refused = {name for name, field in COMPLETIONS_FIELDS.items() if field.support == "refused"}
    assert RefusedExtras.model_fields.keys() == refused - {"suffix", "prompt_embeds"}
