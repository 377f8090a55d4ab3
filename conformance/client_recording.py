"""What is kept of a client's requests: one of each kind for a check, shortened, without addresses."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from conformance.client_proxy import Exchange
from conformance.environment import ROOT

RECORDED = ROOT / "tests" / "e2e" / "recorded" / "clients"
KEPT_FOR_A_CHECK = 4
"""Kinds of requests; a loop that goes on asks the same again."""

LONGEST_PROSE = 160
"""Characters of a text or description that are kept."""

TINY_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP8z4AdMDEMKQkAzUEBD7t4NqoAAAAASUVORK5CYII="
)
"""A red square of 8 by 8 pixels, in base64."""

_PROSE = {"text", "content", "description", "instructions", "input", "prompt", "output", "title", "delta"}
"""Keys whose text is read by a model or a person; all other texts mean something to the server."""

_BASE64 = re.compile(r"(?:iVBORw0KGgo|/9j/)[A-Za-z0-9+/=_-]{80,}")
_ADDRESS = re.compile(r"https?://(?:127\.0\.0\.1|localhost)(?::\d+)?")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it is kept. `answer_ids` are the answer's own and those of its items, in their order: what
    later requests may name.
    """

    check: str
    method: str
    path: str
    body: JsonValue
    status: int
    answer_ids: tuple[str, ...] = ()

    def as_json(self) -> dict[str, JsonValue]:
        """The row of the file; ids only where there are any."""
        row: dict[str, JsonValue] = {
            "check": self.check,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "body": self.body,
        }
        return row | ({"answer_ids": list(self.answer_ids)} if self.answer_ids else {})


def kept(check: str, exchanges: Sequence[Exchange]) -> list[Request]:
    """One request of each kind, the first ones, in their order. Left out are those that got no answer, and
    those for files of the tokenizer.
    """
    requests: list[Request] = []
    kinds: set[str] = set()
    for exchange in exchanges:
        kind = (
            f"{exchange.method} {exchange.path.partition('?')[0]} {exchange.status} {_shape(exchange.body)}"
        )
        asked = bool(exchange.status) and exchange.path.startswith("/v1/")
        if asked and kind not in kinds and len(kinds) < KEPT_FOR_A_CHECK:
            kinds.add(kind)
            body = shortened(exchange.body)
            ids = answer_ids(exchange.answer)
            path = _ADDRESS.sub("", exchange.path)
            requests.append(Request(check, exchange.method, path, body, exchange.status, ids))
    return requests


def with_named_ids_only(requests: Sequence[Request]) -> list[Request]:
    """Without the ids of answers that no later request names."""
    texts = [request.path + json.dumps(request.body) for request in requests]
    return [
        Request(
            request.check,
            request.method,
            request.path,
            request.body,
            request.status,
            request.answer_ids
            if any(one in text for one in request.answer_ids for text in texts[number + 1 :])
            else (),
        )
        for number, request in enumerate(requests)
    ]


def write(name: str, version: str, requests: Iterable[Request]) -> Path:
    """Write a client's file."""
    RECORDED.mkdir(parents=True, exist_ok=True)
    file = RECORDED / f"{name}.json"
    content = {
        "client": name,
        "version": version,
        "requests": [request.as_json() for request in requests],
    }
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def shortened(value: JsonValue, key: str = "") -> JsonValue:
    """The same with tiny images, the beginnings of long prose, and nothing of this machine."""
    if isinstance(value, dict):
        return {name: shortened(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [shortened(item, key) for item in value]
    if not isinstance(value, str):
        return value
    text = scrubbed(_BASE64.sub(TINY_PNG, value))
    if key in _PROSE and len(text) > LONGEST_PROSE and TINY_PNG not in text and not _is_json(text):
        return text[:LONGEST_PROSE].rstrip() + " …"
    return text


def scrubbed(text: str) -> str:
    """A text without addresses and folders of this machine."""
    return _ADDRESS.sub("http://server", text).replace(str(ROOT), "/project")


def answer_ids(answer: bytes) -> tuple[str, ...]:
    """The id of a response of `/v1/responses` or of a conversation and those of its items and
    calls, whole or streamed.
    """
    ids: dict[str, None] = {}
    for payload in _payloads(answer):
        response = payload.get("response", payload)
        if isinstance(response, dict) and response.get("object") in ("response", "conversation", "file"):
            output = response.get("output")
            items = output if isinstance(output, list) else []
            parts = [part for part in (response, *items) if isinstance(part, dict)]
            names = [part.get(key) for part in parts for key in ("id", "call_id")]
            ids |= dict.fromkeys(name for name in names if isinstance(name, str))
    return tuple(ids)


def _payloads(answer: bytes) -> Iterable[dict[str, JsonValue]]:
    text = answer.decode("utf-8", "replace")
    pieces = re.findall(r"^data: (\{.*)$", text, re.MULTILINE) or [text]
    for piece in pieces:
        try:
            payload = json.loads(piece)
        except ValueError:
            continue
        if isinstance(payload, dict):
            yield payload


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _shape(value: JsonValue, key: str = "") -> str:
    """Keys and types; of texts only those that tell what something is. Equal items count once."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_shape(item, name)}" for name, item in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(sorted({_shape(item) for item in value})) + "]"
    if isinstance(value, str) and key not in ("type", "role", "tool_choice"):
        return "text"
    return f"{type(value).__name__}:{value}" if isinstance(value, str | bool) else type(value).__name__
