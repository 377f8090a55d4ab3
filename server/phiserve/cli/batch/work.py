"""Requests of a batch and what becomes of them, and how a bounded number of them is kept under way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rich.console import Console

from phiserve.protocol.batches.lines import BatchLine, BatchUrl
from phiserve.turns import NOBODY, Room

MAX_BYTES_UNDER_WAY = 512 * 2**20
"""Maximum size of all requests under way; a larger one is alone."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class LineRequest:
    """One request: its route, and the JSON that is posted to it."""

    url: BatchUrl
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request was answered with: HTTP's status, the id of the request, and JSON in one line."""

    status: int
    request_id: str
    body: bytes

    @property
    def failed(self) -> bool:
        """Whether the body is an error."""
        return self.status != 200


class Answering(Protocol):
    """What answers requests: the engine in this process, or a server elsewhere.

    `model` is the model's name. `at_once`: so many requests under way keep it busy.
    """

    model: str
    at_once: int

    async def answer(self, request: LineRequest) -> Outcome:
        """Answer a request, however long that takes.

        Raises StartupError or EngineLost where no other one would be answered either.
        """


Source = Callable[[], AbstractAsyncContextManager[Answering]]
"""Starts what answers, and ends it."""


class Place(Protocol):
    """Where requests are answered."""

    @property
    def names(self) -> Sequence[str]:
        """The model's names, the main one first."""

    def check(self, line: BatchLine) -> None:
        """Raises LineRefused for a line that would be answered with an error, as far as that is known."""

    def source(self, console: Console, at_once: int | None) -> Source:
        """Check what can be checked before anything is started, and fetch what is missing.

        `at_once`: requests under way; None for as many as keep it busy. Raises StartupError.
        """


async def keep_under_way(
    items: Iterator[_Item],
    size_of: Callable[[_Item], int],
    work: Callable[[_Item], Awaitable[None]],
    at_once: int,
) -> None:
    """Have `work` done for every item, begun in their order, `at_once` of them at a time.

    `size_of` an item in bytes keeps large ones from being under way together. The first failure ends the
    others and is raised.
    """
    room = Room(MAX_BYTES_UNDER_WAY)

    async def take_in_turn() -> None:
        for item in items:
            size = size_of(item)
            await room.enter(NOBODY, size, size)
            try:
                await work(item)
            finally:
                room.leave(size)

    tasks = [asyncio.create_task(take_in_turn()) for _ in range(at_once)]
    try:
        for ended in asyncio.as_completed(tasks):
            await ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
