"""In every object of every request: null asks for nothing, and so do the defaults that clients write out.

Whatever else is not known is refused by its name.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, cast, get_args

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from phiserve.errors import InvalidRequest
from phiserve.protocol.batches.batch import NewBatch
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.completions import CompletionRequest
from phiserve.protocol.files import CompletedUpload, NewUpload
from phiserve.protocol.parsing import parse_request
from phiserve.protocol.responses.conversations import ChangedConversation, NewConversation, NewItems
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.wire_model import RequestPart, WireModel

REQUESTS = (
    *(ChatCompletionRequest, CompletionRequest, ResponsesRequest, NewConversation, ChangedConversation),
    *(NewItems, NewUpload, CompletedUpload, NewBatch),
)
"""What is read as JSON, but for requests for decisions: those are refused as OpenAI refuses them."""

NEEDED: dict[str, Any] = {
    "NewUpload": {"filename": "a", "purpose": "vision", "bytes": 1, "mime_type": "image/png"},
    "NewBatch": {"input_file_id": "f", "endpoint": "/v1/responses", "completion_window": "24h"},
    "ExpiresAfter": {"anchor": "created_at", "seconds": 3600},
    "StructuredOutputs": {"choice": ["a"]},
    "FileContent": {"file_id": "f"},
    "InputFile": {"type": "input_file", "file_id": "f"},
    "InputImage": {"type": "input_image", "file_id": "f"},
    "ResponsesRequest": {"input": "a"},
}
"""The least that an object must hold, where its JSON schema does not tell that."""


def objects(kind: object) -> Iterator[type]:
    """The models and dataclasses that a type is, or is made of."""
    if isinstance(kind, type) and (issubclass(kind, BaseModel) or is_dataclass(kind)):
        yield kind
    for argument in get_args(kind):
        yield from objects(argument)


def within(model: type) -> Iterator[type]:
    """The same of its fields."""
    kinds = [field.annotation for field in getattr(model, "model_fields", {}).values()]
    return (inner for kind in kinds for inner in objects(kind))


def all_objects(*roots: type) -> list[type]:
    """These, and all within them, in the order in which they are met."""
    found = dict.fromkeys(roots)
    waiting = [*roots]
    for model in waiting:
        new = [inner for inner in dict.fromkeys(within(model)) if inner not in found]
        found |= dict.fromkeys(new)
        waiting += new
    return [*found]


MODELS: list[type[BaseModel]] = [kind for kind in all_objects(*REQUESTS) if issubclass(kind, BaseModel)]


def least(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """The least value that a JSON schema of ours takes."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return NEEDED.get(name) or least(definitions[name], definitions)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return least(schema[keyword][0], definitions)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    match schema.get("type"):
        case "object":
            needed = schema.get("required", ())
            return {name: least(schema["properties"][name], definitions) for name in needed}
        case "array":
            return [least(schema["items"], definitions)] * schema.get("minItems", 0)
        case "integer":
            return schema.get("minimum", 0)
    return "a"


def least_of(model: type[BaseModel]) -> dict[str, Any]:
    """The least that an object of a request holds."""
    if model.__name__ in NEEDED:
        return dict(NEEDED[model.__name__])
    schema = model.model_json_schema()
    return cast("dict[str, Any]", least(schema, schema.get("$defs", {})))


def takes(model: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    """An object as it is read from JSON."""
    return model.model_validate_json(json.dumps(given))


def name_of(model: type[BaseModel]) -> str:
    """A model's name, for the tests' own."""
    return f"{model.__module__.rpartition('protocol.')[2]}.{model.__name__}"


def test_every_object_of_a_request_is_a_part() -> None:
    """None has a rule of its own; and there are many."""
    assert len(MODELS) > 50
    assert all(issubclass(model, RequestPart) for model in MODELS)


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_null_asks_for_nothing(model: type[WireModel]) -> None:
    """A field that need not be there may be null, and so may one that nobody knows."""
    given = least_of(model)
    names = [field.alias or name for name, field in model.model_fields.items() if not field.is_required()]
    for name in ("provider_extra", *names):
        takes(model, {name: None} | given)
    everything = dict.fromkeys(("provider_extra", *names)) | given
    takes(model, everything)
    jsonschema.validate(everything, model.model_json_schema())  # which says so


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_all_else_is_refused_by_its_name(model: type[WireModel]) -> None:
    """Any value of a key that nobody knows, but null; of what clients send back, empty ones pass too."""
    for value in (0, False, "", "a", [1], {"a": 1}):
        with pytest.raises(ValidationError) as caught:
            takes(model, least_of(model) | {"provider_extra": value})
        told = [(error["type"], error["loc"]) for error in caught.value.errors()]
        assert told == [("extra_forbidden", ("provider_extra",))]


def written_out(kind: type, needed: dict[str, Any]) -> dict[str, Any]:
    """An object with every default of its type, for a client that leaves none of them out."""
    if is_dataclass(kind):
        return {field.name: field.default for field in fields(kind) if field.init} | needed
    defaults = {
        field.alias or name: field.default
        for name, field in cast("type[BaseModel]", kind).model_fields.items()
        if not field.is_required() and field.default_factory is None
    }
    return defaults | needed


CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
LOOK: dict[str, Any] = {"type": "function", "function": {"name": "look"}}

VLLM: dict[str, tuple[dict[str, Any], Callable[[Any], dict[str, Any]]]] = {
    "StreamOptions": ({}, lambda given: {"stream": True, "stream_options": given}),
    "ResponseFormat": ({"type": "json_object"}, lambda given: {"response_format": given}),
    "JsonSchemaResponseFormat": (
        {"name": "a"},
        lambda given: {"response_format": {"type": "json_schema", "json_schema": given}},
    ),
    "ChatCompletionToolsParam": (LOOK, lambda given: {"tools": [given]}),
    "FunctionDefinition": (
        LOOK["function"],
        lambda given: {"tools": [{"type": "function", "function": given}]},
    ),
    "ChatCompletionNamedToolChoiceParam": (LOOK, lambda given: {"tools": [LOOK], "tool_choice": given}),
    "ChatCompletionNamedFunction": (
        LOOK["function"],
        lambda given: {"tools": [LOOK], "tool_choice": {"type": "function", "function": given}},
    ),
    "StructuredOutputsParams": ({"choice": ["a"]}, lambda given: {"structured_outputs": given}),
}
"""Objects within vLLM's chat request that are served: what each needs, and where it stands."""

VLLM_REFUSED = {
    *("LegacyStructuralTag", "LegacyStructuralTagResponseFormat", "StructuralTagResponseFormat"),
    *("RepetitionDetectionParams", "Message", "Author", "Content"),
}
"""The others. The last three are of another model's form of conversation."""


def test_vllms_defaults_within_requests_pass() -> None:
    """Each object of its chat request with all that it says of itself; a new kind fails here."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest as Theirs

    kinds = {kind.__name__: kind for kind in all_objects(Theirs)[1:]}
    assert kinds.keys() == VLLM.keys() | VLLM_REFUSED
    for name, (needed, place) in VLLM.items():
        body = CHAT | place(written_out(kinds[name], needed))
        parse_request(json.dumps(body).encode(), ChatCompletionRequest)


def test_vllms_defaults_pass_together() -> None:
    """All of a request's at once."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest as Chat
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest as Completion
    from vllm.entrypoints.openai.responses.protocol import ResponsesRequest as Responses

    pairs: tuple[tuple[type, type[WireModel], dict[str, Any]], ...] = (
        (Chat, ChatCompletionRequest, CHAT),
        (Completion, CompletionRequest, {"prompt": "a"}),
        (Responses, ResponsesRequest, {"input": "a"}),
    )
    for theirs, ours, needed in pairs:
        parse_request(json.dumps(written_out(theirs, needed)).encode(), ours)


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({"response_format": {"type": "json_object", "json_schema": None}}, ChatCompletionRequest),
        ({"response_format": {"type": "text", "json_schema": None}}, ChatCompletionRequest),
        ({"stream": True, "stream_options": {"include_obfuscation": None}}, ChatCompletionRequest),
        ({"tools": [{"type": "function", "function": {"name": "a", "x": None}}]}, ChatCompletionRequest),
        ({"logprobs": False, "top_logprobs": 0}, ChatCompletionRequest),
        ({"structured_outputs": {"json_object": True}}, ChatCompletionRequest),
        ({"structured_outputs": {"json_object": False, "regex": "a"}}, ChatCompletionRequest),
        ({"input": "a", "text": {"format": {"type": "text", "schema": None}, "x": None}}, ResponsesRequest),
        ({"input": "a", "reasoning": {"effort": "low", "budget": None}}, ResponsesRequest),
        ({"input": [{"type": None, "role": "user", "content": "a"}]}, ResponsesRequest),
    ],
)
def test_as_clients_write_it(fields: dict[str, Any], wire: type[WireModel]) -> None:
    """Some that clients were seen to write."""
    needed = CHAT if wire is ChatCompletionRequest else {}
    parse_request(json.dumps(needed | fields).encode(), wire)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        (
            {"structured_outputs": {"regex": "a", "whitespace_pattern": ""}},
            "structured_outputs.whitespace_pattern",
        ),
        (
            {"structured_outputs": {"regex": "a", "disable_additional_properties": True}},
            "structured_outputs.disable_additional_properties",
        ),
        ({"structured_outputs": {"json_object": True, "regex": "a"}}, "structured_outputs"),
        ({"structured_outputs": {"json_object": False}}, "structured_outputs"),
        ({"top_logprobs": 1}, "top_logprobs"),
    ],
)
def test_what_asks_for_something_is_refused(fields: dict[str, Any], param: str) -> None:
    """By its place."""
    with pytest.raises(InvalidRequest) as caught:
        parse_request(json.dumps(CHAT | {"stream": True} | fields).encode(), ChatCompletionRequest)
    assert caught.value.param == param
