"""The OpenAPI document: what FastAPI cannot know of it.

Routes read and write their bodies themselves.
"""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from phiserve.api.authorization import OPEN_PATHS
from phiserve.api.openapi_examples import EXAMPLES
from phiserve.api.services import Services
from phiserve.errors import Overloaded, RequestError, Unauthorized
from phiserve.protocol.batches.batch import BatchList, BatchObject, NewBatch
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.chat_completion import ChatCompletion, ChatCompletionChunk
from phiserve.protocol.completions import CompletionRequest
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.response import Decision
from phiserve.protocol.events import ErrorResponse
from phiserve.protocol.files import (
    CompletedUpload,
    FileDeleted,
    FileList,
    FileObject,
    NewFileFields,
    NewUpload,
    UploadObject,
    UploadPartObject,
)
from phiserve.protocol.models import ModelCard, ModelList, Tokenized
from phiserve.protocol.responses.conversations import (
    ChangedConversation,
    ConversationDeleted,
    ConversationObject,
    ItemList,
    NewConversation,
    NewItems,
)
from phiserve.protocol.responses.events import Event
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.response import InputTokens, ResponseDeleted, ResponseObject
from phiserve.protocol.text_completion import TextCompletion
from phiserve.protocol.wire_model import WireModel

JsonObject = dict[str, Any]
"""A part of the document, as FastAPI types it."""

_REF = "#/components/schemas/"
_PROMPTS: tuple[type[WireModel], ...] = (
    ChatCompletionRequest,
    CompletionRequest,
    DecisionsRequest,
    ResponsesRequest,
)
_OBJECTS: tuple[type[WireModel], ...] = (NewConversation, ChangedConversation, NewItems)
_FILES: tuple[type[WireModel], ...] = (NewFileFields, NewUpload, CompletedUpload, NewBatch)
_REQUESTS: tuple[type[WireModel], ...] = (*_PROMPTS, *_OBJECTS, *_FILES)
_ANSWERS = (
    *(ChatCompletion, ChatCompletionChunk, ErrorResponse, ModelCard, ModelList, Tokenized),
    *(TextCompletion, ResponseObject, InputTokens, *get_args(Event)),
    *(ResponseDeleted, ConversationObject, ConversationDeleted, ItemList, Decision),
    *(FileObject, FileList, FileDeleted, UploadObject, UploadPartObject, BatchObject, BatchList),
)
_REQUEST_ID = {
    "x-request-id": {"description": "The client's own id, or a new one.", "schema": {"type": "string"}}
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}
_CHALLENGE = {"WWW-Authenticate": {"description": "HTTP's challenge.", "schema": {"type": "string"}}}

_ERROR_HEADERS: dict[type[RequestError], JsonObject] = {Overloaded: _RETRY_AFTER, Unauthorized: _CHALLENGE}


def body_of(wire: type[WireModel]) -> JsonObject:
    """`openapi_extra` of the routes that take such a request."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"{_REF}{wire.__name__}"}}},
        }
    }


def form_of(fields: type[WireModel], file_field: str) -> JsonObject:
    """`openapi_extra` of the routes that take a form with a file."""
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    beside = fields.model_json_schema(ref_template=_REF + "{model}")
    properties = {file_field: file, **beside.get("properties", {})}
    together: JsonObject = {}
    for name, parts in _objects_in(fields).items():  # whose parts are fields of their own in a form
        del properties[name]
        properties |= {f"{name}[{part}]": schema for part, schema in parts["properties"].items()}
        needed = [f"{name}[{part}]" for part in parts["required"]]
        together |= {f"{name}[{part}]": needed for part in parts["properties"]}
    schema = {
        "type": "object",
        "properties": properties,
        "required": [file_field, *beside.get("required", [])],
        "dependentRequired": together,
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def _objects_in(wire: type[WireModel]) -> JsonObject:
    """The schemas of a request's fields that are objects, by the fields' names."""
    found: JsonObject = {}
    for name, field in wire.model_fields.items():
        for kind in get_args(field.annotation):
            if isinstance(kind, type) and issubclass(kind, WireModel):
                found[name] = kind.model_json_schema()
    return found


def responses(
    payload: type | None,
    *errors: type[RequestError],
    stream: type | None = None,
    typed_stream: Sequence[type] = (),
) -> dict[int | str, JsonObject]:
    """The `responses` of a route.

    What it answers with 200 (as JSON, and if it can as a stream of chunks, or of events that have types), and
    the errors that it can end in.
    """
    documented: dict[int | str, JsonObject] = {
        200: {"description": "Successful Response", "headers": _REQUEST_ID}
    }
    if payload is not None:
        documented[200]["content"] = {"application/json": _schema(payload)}
    if stream is not None:
        documented[200]["content"]["text/event-stream"] = {"schema": _event(stream)}
    if typed_stream:
        documented[200]["content"]["text/event-stream"] = {"schema": _typed_event(typed_stream)}
    return documented | {error.status: _failure(error) for error in errors}


def document(app: FastAPI, services: Services) -> JsonObject:
    """The document of a running server.

    It names the model that is served, and asks for the key where one is needed.
    """
    described = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    described["components"] = {
        "schemas": _request_schemas([card.id for card in services.cards]) | _answer_schemas()
    }
    for path, operation in _operations(described):
        operation["responses"].pop("422", None)  # FastAPI's own; our routes answer 400
        if body := operation.get("requestBody"):
            _add_examples(body["content"], services.card.id)
        if services.settings.api_key is not None and path not in OPEN_PATHS:
            operation["security"] = [{"key": []}]
            operation["responses"]["401"] = _failure(Unauthorized)
    if services.settings.api_key is not None:
        described["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return described


def _operations(described: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    for path, operations in described["paths"].items():
        for operation in operations.values():
            yield path, operation


def _schema(struct: type) -> JsonObject:
    return {"schema": {"$ref": f"{_REF}{struct.__name__}"}}


def _event(struct: type) -> JsonObject:
    """One server-sent event, as OpenAPI 3.2 describes them: a chunk, an error, or the end."""
    payloads = {"anyOf": [_schema(payload)["schema"] for payload in (struct, ErrorResponse)]}
    data = {
        "anyOf": [
            {"const": "[DONE]"},
            {"type": "string", "contentMediaType": "application/json", "contentSchema": payloads},
        ]
    }
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _typed_event(structs: Sequence[type]) -> JsonObject:
    """One server-sent event of several types, each named by its payload's `type`; errors are among them."""
    payloads = {"anyOf": [_schema(struct)["schema"] for struct in structs]}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": payloads}
    properties = {"event": {"type": "string"}, "data": data}
    return {"type": "object", "properties": properties, "required": ["event", "data"]}


def _failure(error: type[RequestError]) -> JsonObject:
    headers = _REQUEST_ID | _ERROR_HEADERS.get(error, {})
    summary = (error.__doc__ or "").partition("\n")[0]
    return {
        "description": summary,
        "headers": headers,
        "content": {"application/json": _schema(ErrorResponse)},
    }


def _request_schemas(names: list[str]) -> JsonObject:
    schemas: JsonObject = {}
    for wire in _REQUESTS:
        schema = wire.model_json_schema(ref_template=_REF + "{model}")
        schemas |= schema.pop("$defs", {})
        if wire in _PROMPTS:
            schema["properties"]["model"] = {"enum": [*names, None], "description": "The first, if left out."}
        schemas[wire.__name__] = schema
    return schemas


def _answer_schemas() -> JsonObject:
    """msgspec marks defaulted fields optional; ours are always sent."""
    _, schemas = msgspec.json.schema_components(_ANSWERS, ref_template=_REF + "{name}")
    for schema in schemas.values():
        always = [name for name, field in schema["properties"].items() if "default" in field]
        for name in always:
            del schema["properties"][name]["default"]
        schema["required"] = [*schema["required"], *always]
    return schemas


def _add_examples(contents: JsonObject, model: str) -> None:
    """Put examples beside the schema of a request for an answer."""
    content = contents.get("application/json", {"schema": {"$ref": ""}})
    bodies = EXAMPLES.get(content["schema"]["$ref"].removeprefix(_REF), {})
    if bodies:
        content["examples"] = {name: {"value": {"model": model, **body}} for name, body in bodies.items()}
