"""Reads a streamed answer with as little work as can be: the client shares the machine with the server it
measures.
"""

import json
from dataclasses import dataclass, field

_CONTENT = b'"content":'
_ROLE = b'"role":'
_USAGE = b'"usage":{'
_ERROR = b'"error":'
"""Keys, as they cannot stand within a text: quotes are escaped there."""


@dataclass(slots=True)
class StreamReader:
    """Feeds on bytes as they come; knows when content came and how many tokens the server counted."""

    arrivals_s: list[float] = field(default_factory=list)
    """One for each event with content, on the clock of whoever feeds."""

    tokens: int = 0
    failed: bool = False
    done: bool = False
    _rest: bytes = b""

    def feed(self, data: bytes, now_s: float) -> None:
        """Take in what has come at this moment."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            if _USAGE in event:
                self._read_usage(event)
            if _CONTENT in event and _ROLE not in event:
                self.arrivals_s.append(now_s)
            elif event == b"data: [DONE]":
                self.done = True
            elif _ERROR in event:
                self.failed = True

    def _read_usage(self, event: bytes) -> None:
        self.tokens = json.loads(event.removeprefix(b"data: "))["usage"]["completion_tokens"]
