"""The OpenAPI document: what FastAPI cannot know of it.

Routes read and write their bodies themselves.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from phiserve.api.authorization import OPEN_PATHS
from phiserve.api.services import Services
from phiserve.errors import Overloaded, RequestError, Unauthorized
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.chat_completion import ChatCompletion, ChatCompletionChunk
from phiserve.protocol.events import ErrorResponse
from phiserve.protocol.models import ModelCard, ModelList, Tokenized

JsonObject = dict[str, Any]
"""A part of the document, as FastAPI types it."""

_REF = "#/components/schemas/"
_ANSWERS = (ChatCompletion, ChatCompletionChunk, ErrorResponse, ModelCard, ModelList, Tokenized)
_DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAP8AAAAAACwAAAAAAQABAAACAkQBADs="
"""A red image of one pixel, short enough to be read in a document."""

_EXAMPLES: dict[str, JsonObject] = {
    "image": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": _DOT, "detail": "low"}},
                    {"type": "text", "text": "What colour is it?"},
                ],
            }
        ]
    },
    "text": {"messages": [{"role": "user", "content": "Hello!"}]},
    "streamed": {
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
}
_REQUEST_ID = {
    "x-request-id": {"description": "The client's own id, or a new one.", "schema": {"type": "string"}}
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}
_CHALLENGE = {"WWW-Authenticate": {"description": "HTTP's challenge.", "schema": {"type": "string"}}}

_ERROR_HEADERS: dict[type[RequestError], JsonObject] = {Overloaded: _RETRY_AFTER, Unauthorized: _CHALLENGE}

CHAT_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"{_REF}ChatCompletionRequest"}}},
    }
}
"""`openapi_extra` of the routes that take a chat request."""


def responses(
    payload: type | None, *errors: type[RequestError], stream: type | None = None
) -> dict[int | str, JsonObject]:
    """The `responses` of a route.

    What it answers with 200 (as JSON, and as events if it can), and the errors that it can end in.
    """
    documented: dict[int | str, JsonObject] = {
        200: {"description": "Successful Response", "headers": _REQUEST_ID}
    }
    if payload is not None:
        documented[200]["content"] = {"application/json": _schema(payload)}
    if stream is not None:
        documented[200]["content"]["text/event-stream"] = {"schema": _event(stream)}
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
            body["content"]["application/json"]["examples"] = _examples(services.card.id)
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


def _failure(error: type[RequestError]) -> JsonObject:
    headers = _REQUEST_ID | _ERROR_HEADERS.get(error, {})
    summary = (error.__doc__ or "").partition("\n")[0]
    return {
        "description": summary,
        "headers": headers,
        "content": {"application/json": _schema(ErrorResponse)},
    }


def _request_schemas(names: list[str]) -> JsonObject:
    schema = ChatCompletionRequest.model_json_schema(ref_template=_REF + "{model}")
    definitions = schema.pop("$defs", {})
    schema["properties"]["model"] = {"type": "string", "enum": names}
    return {**definitions, "ChatCompletionRequest": schema}


def _answer_schemas() -> JsonObject:
    """msgspec marks defaulted fields optional; ours are always sent."""
    _, schemas = msgspec.json.schema_components(_ANSWERS, ref_template=_REF + "{name}")
    for schema in schemas.values():
        always = [name for name, field in schema["properties"].items() if "default" in field]
        for name in always:
            del schema["properties"][name]["default"]
        schema["required"] = [*schema["required"], *always]
    return schemas


def _examples(model: str) -> JsonObject:
    return {name: {"value": {"model": model, "max_tokens": 50, **body}} for name, body in _EXAMPLES.items()}
