"""`text`: the formats of an answer, flat as Responses have them."""

import json

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.text import TextConfig

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
NAMED = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}


def parsed(given: object) -> TextConfig:
    return parse_request(json.dumps({"format": given}).encode(), TextConfig)


@pytest.mark.parametrize("given", [None, {"type": "text"}])
def test_text_asks_for_no_form(given: object) -> None:
    """Said or not."""
    config = parsed(given)
    assert config.constraint is None
    assert config.format_as_given == {"type": "text"}


def test_formats_constrain_and_are_repeated() -> None:
    """Each names its own place, and is repeated as it was sent."""
    objects, schema = parsed({"type": "json_object"}), parsed(NAMED)
    assert objects.constraint is not None
    assert schema.constraint is not None
    assert (objects.constraint.param, schema.constraint.param) == ("text.format", "text.format.schema")
    assert objects.format_as_given == {"type": "json_object"}
    assert schema.format_as_given == NAMED


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"schema": {"type": "object", "not": {}}}, "text.format.schema.not", "unsupported_schema"),
        ({"name": "a b"}, "format.name", "invalid_value"),
        ({"type": "grammar"}, "format", "invalid_value"),
    ],
)
def test_refusals(changes: dict[str, object], param: str, code: str) -> None:
    """What would not be enforced, and what is no format."""
    with pytest.raises(InvalidRequest) as refusal:
        parsed(NAMED | changes)
    assert (refusal.value.param, refusal.value.code) == (param, code)
