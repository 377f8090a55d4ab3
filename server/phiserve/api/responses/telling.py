"""The events of a stored response: as they came, or told anew from what is stored."""

import asyncio
from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from phiserve.api.responses.draft import (
    CallItem,
    Item,
    ItemAdded,
    ItemBegun,
    ItemEnded,
    ItemStatus,
    Step,
    TextItem,
)
from phiserve.api.responses.event_log import EventLogs, frames_of
from phiserve.api.responses.gathering import response_not_found
from phiserve.api.responses.writer import Events
from phiserve.api.shutdown import Shutdown, shutting_down
from phiserve.api.streaming import Frames
from phiserve.errors import RequestError
from phiserve.protocol.responses.response import OutputItem, OutputMessage, ResponseObject
from phiserve.store.interface import UNFINISHED, Store

POLL_S = 1.0
"""How often it is asked whether a response has ended that this process tells no events of."""


class Telling:
    """The events of one response from number `first` on, until its end.

    While this process has the events in memory, they are told as they came or come. Otherwise they are told
    anew once the response has ended, each text and each call's arguments as one delta. Numbers of events that
    came otherwise say nothing about those: whoever goes on behind the response's beginning gets the last
    event alone, which has all of the response.
    """

    def __init__(
        self, store: Store, logs: EventLogs, shutdown: Shutdown, of: tuple[str, str], first: int = 0
    ) -> None:
        self._store = store
        self._logs = logs
        self._shutdown = shutdown
        self._owner, self._id = of
        self._next = first

    async def frames(self) -> Frames:
        """All events. Raises NotFound where it is deleted, ShuttingDown, StoreFailure."""
        yield b""  # the head leaves at once, however long the first event takes
        log = self._logs.get(self._id)
        beginning = _beginning(_before_answer(await self._stored()))
        if self._next < len(beginning):
            yield self._told(beginning[self._next :])
        if log is not None:
            async for frames in log.read(self._next):
                yield self._told(frames)
            if log.is_whole:
                return
        ended = await self._ended()
        yield self._told(_rest(ended, self._next, len(beginning)))

    def fail(self, error: RequestError) -> bytes:
        """Why no more events come, which says nothing of the response."""
        return Events(self._next).error(error.message, error.code, error.param)

    def _told(self, frames: list[bytes]) -> bytes:
        self._next += len(frames)
        return b"".join(frames)

    async def _stored(self) -> ResponseObject:
        found = await self._store.response(self._owner, self._id)
        if found is None:
            raise response_not_found(self._id)
        return msgspec.json.decode(found.payload, type=ResponseObject)

    async def _ended(self) -> ResponseObject:
        while (response := await self._stored()).status in UNFINISHED:
            if self._shutdown.has_begun:
                raise shutting_down()
            await asyncio.sleep(POLL_S)
        return response


def _before_answer(response: ResponseObject) -> ResponseObject:
    """The response as it was before there was anything of its answer."""
    status: Literal["queued", "in_progress"] = "queued" if response.background else "in_progress"
    return replace(
        response,
        status=status,
        output=[],
        completed_at=None,
        error=None,
        incomplete_details=None,
        usage=UNSET,
    )


def _beginning(begun: ResponseObject) -> list[bytes]:
    """What is told before it is known what the answer is."""
    events = Events()
    return frames_of(events.queued(begun) if begun.background else events.created(begun))


def _rest(ended: ResponseObject, first: int, num_told: int) -> list[bytes]:
    """The events from number `first` on of a response that has ended; `num_told` are its beginning's."""
    begun = replace(_before_answer(ended), status="in_progress")
    events = Events(num_told)
    opening = events.in_progress(begun) if ended.background else b""
    if first > events.next_number:
        return frames_of(Events(first).last(ended))
    return frames_of(opening + events.steps(_steps(ended)) + events.last(ended))[first - num_told :]


def _steps(ended: ResponseObject) -> Iterator[Step]:
    """What happened to the items of a response, each added to once; none of a failed one's last has ended."""
    for index, item in enumerate(ended.output):
        yield from _steps_of(item, index)
        if ended.status != "failed" or index + 1 < len(ended.output):
            status: ItemStatus = "completed" if item.status == "completed" else "incomplete"
            yield ItemEnded(_read_item(item, index), status)


def _steps_of(item: OutputItem, index: int) -> Iterator[Step]:
    read = _read_item(item, index)
    yield ItemBegun(read)
    if isinstance(read, TextItem):
        yield ItemAdded(read, read.text.text, read.logprobs)
    else:
        yield ItemAdded(read, "".join(read.arguments), [])


def _read_item(item: OutputItem, index: int) -> Item:
    """An item of the answer, as it was when it ended."""
    if isinstance(item, OutputMessage):
        texts = [part.text for part in item.content]
        logprobs = [logprob for part in item.content for logprob in part.logprobs]
        return TextItem(index, item.id, texts, logprobs)
    return CallItem(index, item.name, item.id, item.call_id, [item.arguments])
