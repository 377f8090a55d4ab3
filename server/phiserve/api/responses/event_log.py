"""The events of responses in the background, kept in memory as they come, for whoever reads them."""

import asyncio
from collections.abc import AsyncGenerator, Iterable

from phiserve.api.responses.draft import Step
from phiserve.api.responses.writer import Events
from phiserve.protocol.responses.response import ResponseObject

MAX_BYTES = 32 * 1024 * 1024
"""Bytes of events of responses that have ended; the earliest ended are forgotten first.

Of those that are being answered all events are kept: they are few, and the context bounds each.
"""

_END = b"\n\n"


def frames_of(events: bytes) -> list[bytes]:
    """Several server-sent events, one by one: JSON has no line ends of its own."""
    return [frame + _END for frame in events.split(_END)[:-1]]


NUM_QUEUED_EVENTS = 2
"""Those of a response that waits for its turn: they are told from the store, where it waits as well."""


class EventLog:
    """The events of one response so far, from number `NUM_QUEUED_EVENTS` on."""

    def __init__(self) -> None:
        self.is_whole = False
        self.num_bytes = 0
        self._writer = Events(NUM_QUEUED_EVENTS)
        self._frames: list[bytes] = []
        self._is_closed = False
        self._changed = asyncio.Event()

    @property
    def has_answer(self) -> bool:
        """Whether anything of an answer was told, which cannot be taken back."""
        return len(self._frames) > 1

    def begin(self, response: ResponseObject) -> None:
        """It is being answered; told once, however often that is tried."""
        if not self._frames:
            self._add(self._writer.in_progress(response))

    def tell(self, steps: Iterable[Step]) -> None:
        """Something happened to its items."""
        self._add(self._writer.steps(steps))

    def end(self, response: ResponseObject) -> None:
        """It has ended, and is stored."""
        self._add(self._writer.last(response))
        self.is_whole = True
        self.close()

    def close(self) -> None:
        """Nothing comes any more, whether it is whole or not."""
        self._is_closed = True
        self._tell_readers()

    async def read(self, first: int) -> AsyncGenerator[list[bytes], None]:
        """The events from number `first` on, as many at once as there are, until nothing comes any more."""
        first -= NUM_QUEUED_EVENTS
        while True:
            changed = self._changed
            if new := self._frames[first:]:
                first += len(new)
                yield new
            elif self._is_closed:
                return
            else:
                await changed.wait()

    def _add(self, events: bytes) -> None:
        self._frames += frames_of(events)
        self.num_bytes += len(events)
        self._tell_readers()

    def _tell_readers(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class EventLogs:
    """The logs of this process: of what is being answered, and of as much that has ended as fits."""

    def __init__(self) -> None:
        self._logs: dict[str, EventLog] = {}
        self._ended: dict[str, int] = {}  # ids -> bytes, in the order of their ends
        self._num_ended_bytes = 0

    def begin(self, response_id: str) -> None:
        """Keep the events of a response from now on."""
        self._logs[response_id] = EventLog()

    def get(self, response_id: str) -> EventLog | None:
        """The log of a response; None where its events are not, or no longer, in memory."""
        return self._logs.get(response_id)

    def close(self, response_id: str) -> None:
        """Nothing comes any more of a response: its log is kept where it is whole, within the limit."""
        log = self._logs.get(response_id)
        if log is None or response_id in self._ended:
            return
        log.close()
        if not log.is_whole:
            del self._logs[response_id]
            return
        self._ended[response_id] = log.num_bytes
        self._num_ended_bytes += log.num_bytes
        while self._num_ended_bytes > MAX_BYTES:
            self.forget(next(iter(self._ended)))

    def forget(self, response_id: str) -> None:
        """Keep nothing of a response that has ended; who reads its events now gets them still."""
        if response_id in self._ended:
            self._num_ended_bytes -= self._ended.pop(response_id)
            del self._logs[response_id]
