"""What became of a request: answered whole, refused with a reason, told within its stream, or a violation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.soak_bodies import Asked

ANSWERED = "answered"
REFUSED = "refused"
TOLD = "told"
"""The stream ended with an error event and [DONE]."""

LEFT = "left"
"""The client hung up, or stopped reading, as it was meant to; all that came until then was right."""

VIOLATION = "violation"
FATES = (ANSWERED, REFUSED, TOLD, LEFT, VIOLATION)
_ERROR_FIELDS = {"message": str, "type": str, "param": str | None, "code": str | None}
_ENDS = ("stop", "length")


class Violation(Exception):
    """Something that no request may get, in words."""


@dataclass(frozen=True, slots=True)
class Fate:
    """The end of a request. `at_s`: seconds since the load began. `reason`: the error's code, or what was
    violated.
    """

    kind: str
    at_s: float
    seconds: float
    fate: str
    status: int = 0
    reason: str = ""


def error_code(content: bytes, status: int, media_type: str) -> str:
    """The code of an error in OpenAI's shape. Raises Violation for any other, and for internal errors."""
    if media_type != "application/json":
        raise Violation(f"{status} as {media_type!r}: {content[:200]!r}")
    try:
        error = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        raise Violation(f"{status} without an error object: {content[:200]!r}") from None
    return _code_of(error)


def whole_answer(asked: Asked, content: bytes, media_type: str) -> None:
    """Raises Violation for what is no whole answer to the request."""
    if media_type != "application/json":
        raise Violation(f"200 as {media_type!r}: {content[:200]!r}")
    try:
        answer = json.loads(content)
        if asked.path == "/tokenize":
            _hold(answer["count"] > 0, "no tokens were counted")
            return
        _hold(answer["object"] == "chat.completion", "the answer is no completion")
        _hold(len(answer["choices"]) == asked.body.get("n", 1), "choices are missing")
        for choice in answer["choices"]:
            _check_choice(asked, choice)
    except (ValueError, KeyError, TypeError) as error:
        raise Violation(f"{type(error).__name__}: {error} in {content[:200]!r}") from None


@dataclass
class EventReader:
    """Reads a stream strictly: every event is a chunk, a comment, an error or the end, in a right order."""

    asked: Asked
    error: str = ""
    events: int = 0
    done: bool = False
    _rest: bytes = b""
    _id: str = ""
    _ends: dict[int, str] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        """Take in what has come. Raises Violation."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            self._take(event)

    def close(self) -> str:
        """The fate of a stream that has ended. Raises Violation for one that was cut off."""
        _hold(not self._rest, f"the stream ends within an event: {self._rest[:200]!r}")
        _hold(self.done, f"the stream ends without [DONE] after {self.events} events")
        if self.error:
            return TOLD
        wanted = self.asked.body.get("n", 1)
        _hold(len(self._ends) == wanted, f"{len(self._ends)} of {wanted} choices have an end")
        return ANSWERED

    def _take(self, event: bytes) -> None:
        _hold(not self.done, f"after [DONE]: {event[:200]!r}")
        self.events += 1
        if event == b"data: [DONE]":
            self.done = True
            return
        if event.startswith(b":") and b"\n" not in event:
            return
        _hold(event.startswith(b"data: {") and b"\n" not in event, f"no event: {event[:200]!r}")
        try:
            payload = json.loads(event.removeprefix(b"data: "))
        except ValueError:
            raise Violation(f"no JSON: {event[:200]!r}") from None
        _hold(not self.error, f"after an error: {event[:200]!r}")
        if "error" in payload:
            self.error = _code_of(payload["error"])
            return
        try:
            self._take_chunk(payload)
        except (KeyError, TypeError):
            raise Violation(f"no chunk: {event[:200]!r}") from None

    def _take_chunk(self, chunk: Mapping[str, Any]) -> None:
        self._id = self._id or chunk["id"]
        _hold(chunk["object"] == "chat.completion.chunk" and chunk["id"] == self._id, "a chunk of another")
        for choice in chunk["choices"]:
            index = choice["index"]
            _hold(index not in self._ends, f"choice {index} goes on after its end")
            if (end := choice["finish_reason"]) is not None:
                _hold(end in _ENDS, f"finish_reason {end!r}")
                self._ends[index] = end


def _check_choice(asked: Asked, choice: Mapping[str, Any]) -> None:
    _hold(choice["finish_reason"] in _ENDS, f"finish_reason {choice['finish_reason']!r}")
    _hold(not asked.body.get("logprobs") or bool(choice["logprobs"]["content"]), "logprobs are missing")
    if "response_format" in asked.body and choice["finish_reason"] == "stop":
        _hold(isinstance(json.loads(choice["message"]["content"]), dict), "the answer is no JSON object")


def _code_of(error: Any) -> str:
    shaped = isinstance(error, dict) and error.keys() == _ERROR_FIELDS.keys()
    shaped = shaped and all(isinstance(error[name], kind) for name, kind in _ERROR_FIELDS.items())
    _hold(shaped and bool(error["message"]), f"an error of another shape: {str(error)[:200]}")
    _hold(error["code"] != "internal_error", f"an internal error: {error['message'][:200]}")
    return str(error["code"])


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Violation(otherwise)
