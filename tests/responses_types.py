"""Responses as others define them: the openai client's types and OpenAI's specification, both strictly."""

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
from openai import BaseModel
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

TEXT_EVENTS = (
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
)
"""OpenAI's order, each kind once."""


def strict_response(payload: dict[str, Any]) -> Response:
    """A response as the openai client has it. Fails where a key is unknown or a value of another type."""
    response = Response.model_validate(payload, strict=True)
    _no_unknown_keys(response)
    return response


def strict_event(payload: dict[str, Any]) -> Any:
    """An event as the openai client has it. Fails where a key is unknown or a value of another type."""
    event = _EVENT.validate_python(payload, strict=True)
    _no_unknown_keys(event)
    assert event.type == payload["type"]
    return event


def typed_events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, each checked: named by its type, numbered from 0, and as the types have it."""
    return events_of(response.text)


def events_of(text: str, first: int = 0) -> list[dict[str, Any]]:
    """As `typed_events`, from a body's text, numbered from `first`; comments are left out."""
    events = []
    for frame in text.split("\n\n"):
        if not frame or frame.startswith(":"):
            continue
        name, data = frame.split("\n")
        payload = json.loads(data.removeprefix("data: "))
        assert name == f"event: {payload['type']}"
        strict_event(payload)
        events.append(payload)
    assert [event["sequence_number"] for event in events] == list(range(first, first + len(events)))
    return events


class Specification:
    """OpenAI's specification, by which payloads are validated.

    An event is validated as its own kind: of a union, the error would tell nothing.
    """

    def __init__(self, reference: Path) -> None:
        document = json.loads((reference / "openai" / "openapi.json").read_text())
        self._components = document["components"]

    def validate(self, name: str, payload: Any) -> None:
        """Raises unless a payload is what the specification says."""
        schema = {"$ref": f"#/components/schemas/{name}", "components": self._components}
        jsonschema.Draft202012Validator(schema).validate(payload)


_UNTYPED = {"response.function_call_arguments.done": {"name"}}
"""Keys that the specification requires and openai 3.57's types lack, by the event's type."""


def _no_unknown_keys(part: Any) -> None:
    if isinstance(part, list):
        for item in part:
            _no_unknown_keys(item)
    elif isinstance(part, BaseModel):
        unknown = set(part.model_extra or ()) - _UNTYPED.get(getattr(part, "type", ""), set())
        assert not unknown, (type(part), unknown)
        for name in type(part).model_fields:
            _no_unknown_keys(getattr(part, name))
