"""Items as they are stored and shown: each with its id and status, its content as parts."""

import uuid
from collections.abc import Sequence
from typing import Annotated, cast

from msgspec import json
from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from phiserve.protocol.responses.items import (
    AssistantItem,
    EarlierText,
    FunctionCallItem,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputItem,
    InputText,
    Item,
    ItemReference,
    MessageItem,
    Part,
    Refusal,
    UserItem,
)

_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}
_ITEMS = TypeAdapter[tuple[object, ...]](
    Annotated[tuple[Item, ...], Field(strict=False)],
    config=ConfigDict(hide_input_in_errors=True),  # which are logged: what was said never is
)


def own_items(given: str | Sequence[object] | None) -> tuple[InputItem | ItemReference, ...]:
    """The items of a request's input, which has been validated: a text is a message of the user's."""
    if isinstance(given, str):
        return (UserItem(role="user", content=given),)
    return cast("tuple[InputItem | ItemReference, ...]", tuple(given or ()))


def written_item(item: InputItem) -> tuple[str, str]:
    """The new id of an item, and its JSON.

    It has an id of its own whatever the client called it: nobody else's item can be meant. What has no effect
    is left out; all that becomes part of a prompt is kept as it is.
    """
    kind = item.type
    item_id = f"{_PREFIXES[kind]}_{uuid.uuid4().hex}"
    resource = {"id": item_id, "type": kind, "status": item.status or "completed", **_fields(item)}
    return item_id, json.encode(resource).decode()


def read_items(payloads: Sequence[str]) -> tuple[InputItem, ...]:
    """Stored items of inputs and of answers, as a request would have them."""
    read = _ITEMS.validate_python([json.decode(payload) for payload in payloads])
    return cast("tuple[InputItem, ...]", read)


def _fields(item: InputItem) -> dict[str, JsonValue]:
    match item:
        case FunctionCallItem():
            return {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        case FunctionCallOutput():
            output = item.output if isinstance(item.output, str) else [*map(_part, item.output)]
            name: dict[str, JsonValue] = {} if item.name is None else {"name": item.name}
            return {"call_id": item.call_id, "output": output, **name}
        case _:
            return _message(item)


def _message(item: MessageItem) -> dict[str, JsonValue]:
    content = item.content
    parts: Sequence[Part]
    if isinstance(item, AssistantItem):
        given = [EarlierText(type="output_text", text=content)] if isinstance(content, str) else content
        parts = [_as_said(part) for part in given]
    else:
        parts = [InputText(type="input_text", text=content)] if isinstance(content, str) else content
    phase: dict[str, JsonValue] = {} if item.phase is None else {"phase": item.phase}
    return {"role": item.role, "content": [*map(_part, parts)], **phase}


def _as_said(part: Part) -> Part:
    """Text of an earlier answer is output, also where a client calls it input."""
    return EarlierText(type="output_text", text=part.text) if isinstance(part, InputText) else part


def _part(part: Part) -> JsonValue:
    match part:
        case InputText():
            return {"type": "input_text", "text": part.text}
        case InputImage():
            source: dict[str, JsonValue] = (
                {"image_url": part.image_url} if part.file_id is None else {"file_id": part.file_id}
            )
            return {"type": "input_image", **source, "detail": part.detail or "auto"}
        case InputFile():
            given = part.model_dump(mode="json", exclude_none=True, exclude={"prompt_cache_breakpoint"})
            return {**given, "detail": part.detail or "auto"}
        case Refusal():
            return {"type": "refusal", "refusal": part.refusal}
        case EarlierText():
            return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
