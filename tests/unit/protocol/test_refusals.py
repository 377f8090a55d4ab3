"""The list of what is refused is whole, and each of it is refused, by its name and place."""

import json
from pathlib import Path
from typing import Any

import pytest

from phiserve.errors import InvalidRequest
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.compatibility import COMPLETIONS_FIELDS, OPENAI_FIELDS, VLLM_FIELDS
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.refusals import (
    CHAT_PARTS,
    CHAT_TOOLS,
    RESPONSES_ITEMS,
    RESPONSES_TOOLS,
    refusals,
)
from phiserve.protocol.responses.compatibility import RESPONSES_FIELDS
from phiserve.protocol.responses.items import TYPES
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.wire_model import WireModel

CHAT_BASE: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def schemas(reference: Path) -> dict[str, Any]:
    """OpenAI's, by name."""
    found: dict[str, Any] = json.loads((reference / "openai" / "openapi.json").read_text())
    named: dict[str, Any] = found["components"]["schemas"]
    return named


def types_of(schemas: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """Every `type` that a union of OpenAI's tells its branches by."""
    if "$ref" in schema:
        return types_of(schemas, schemas[schema["$ref"].rsplit("/", 1)[-1]])
    found = set(schema.get("properties", {}).get("type", {}).get("enum", ()))
    for keyword in ("anyOf", "oneOf", "allOf"):
        for branch in schema.get(keyword, ()):
            found |= types_of(schemas, branch)
    return found


@pytest.mark.parametrize(
    ("name", "served", "refused"),
    [
        ("ChatCompletionRequestUserMessageContentPart", {"text", "image_url", "file"}, CHAT_PARTS),
        ("InputContent", {"input_text", "input_image", "input_file"}, {}),
        ("Tool", {"function"}, RESPONSES_TOOLS),
        ("InputItem", {*TYPES}, RESPONSES_ITEMS),
    ],
)
def test_every_kind_of_openai_s_is_served_or_listed(
    schemas: dict[str, Any], name: str, served: set[str], refused: dict[str, str]
) -> None:
    """OpenAI's specification is walked: a new kind fails here until somebody decides about it."""
    assert types_of(schemas, schemas[name]) - served == refused.keys()


def test_both_kinds_of_chat_tools_are_known(schemas: dict[str, Any]) -> None:
    """Functions, and the one that is listed."""
    tools = ("ChatCompletionTool", "CustomToolChatCompletions")
    assert set().union(*(types_of(schemas, schemas[name]) for name in tools)) == {"function", *CHAT_TOOLS}


def refused_at(body: dict[str, Any], wire: type[WireModel]) -> str | None:
    """The place that a refusal names."""
    with pytest.raises(InvalidRequest) as caught:
        parse_request(json.dumps(body).encode(), wire)
    return caught.value.param


def user(field: str, part: dict[str, Any]) -> dict[str, Any]:
    """A request whose only message has one part."""
    return {field: [{"role": "user", "content": [part]}]}


def test_listed_kinds_are_refused_by_their_place() -> None:
    """Each of every list."""
    for kind in CHAT_PARTS:
        body = user("messages", {"type": kind})
        assert refused_at(body, ChatCompletionRequest) == "messages[0].content[0]"
    for kind in CHAT_TOOLS:
        assert refused_at(CHAT_BASE | {"tools": [{"type": kind}]}, ChatCompletionRequest) == "tools[0].type"
    for kind in RESPONSES_TOOLS:
        body = {"input": "Hi", "tools": [{"type": kind, "name": "x"}]}
        assert refused_at(body, ResponsesRequest) == "tools[0].type"
    for kind in RESPONSES_ITEMS:
        assert refused_at({"input": [{"type": kind, "id": "x"}]}, ResponsesRequest) == "input[0]"


def test_all_that_is_refused_is_in_one_list() -> None:
    """Each field once for each reason, with the routes that refuse it; then what may stand in fields."""
    found = refusals()
    names = [name for refusal in found for name in refusal.names]
    tables = (OPENAI_FIELDS, VLLM_FIELDS, COMPLETIONS_FIELDS, RESPONSES_FIELDS)
    fields = {name for table in tables for name, field in table.items() if field.support == "refused"}
    assert fields | RESPONSES_TOOLS.keys() | RESPONSES_ITEMS.keys() | {*CHAT_PARTS, "not", "iri"} <= {*names}
    assert all(refusal.reason and refusal.names for refusal in found)
    moderation = next(refusal for refusal in found if refusal.names == ("moderation",))
    assert moderation == ("field of chat, responses", ("moderation",), "there is no moderation")
    assert len({(refusal.place, refusal.names) for refusal in found}) == len(found)
