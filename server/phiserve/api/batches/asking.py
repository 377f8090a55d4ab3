"""One line of a batch until it is answered: asked when it may be, and again where what happened passes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from phiserve.api.batches import states
from phiserve.api.batches.answering import PASSING, LineAnswer, not_asked
from phiserve.api.batches.parts import BatchParts
from phiserve.errors import StoreFailure, Unauthorized
from phiserve.files.blobs import BlobGone
from phiserve.protocol.batches.lines import body_of
from phiserve.store.batch_lines import StoredLine
from phiserve.store.batches import StoredBatch

RETRY_S = 2.0
"""Seconds until what passes is tried again, unless that says itself."""

LONGEST_RETRY_S = 5.0

PAUSE_S = 0.05
"""How often it is asked whether requests that somebody waits for still wait."""

MAX_FAILURES = 2
"""So often engine or server may end while a line is under way; the second time the line was alone."""

MAX_FATAL = 5
"""Lines of a batch in a row that end an engine by themselves, after which no other one of it is asked."""

QUIET_S = 30.0
"""Longest time that a suspect waits for requests of others to end."""


class Later(Exception):
    """The line is left to whoever works on the batch next: it is another server's, or this one ends."""


class LineAsker:
    """Asks lines of one batch. `lost` is called where the batch is another server's by now.

    `ended`: engines that ended over it; to be cleared by whoever counts them. `lacks_key`: whether its owner
    has no valid key left, so that nothing of it is asked.
    """

    def __init__(self, parts: BatchParts, batch: StoredBatch, lost: Callable[[], object]) -> None:
        self.ended: set[int] = set()
        self.lacks_key = False
        self._parts = parts
        self._batch = batch
        self._lost = lost
        self._endpoint = states.shown(batch).endpoint
        self._asked_by = states.asked_by(batch)
        self._num_fatal = 0
        self._patience_s = QUIET_S

    @property
    def may_begin(self) -> bool:
        """Whether a line may be asked now."""
        return self._parts.may_ask and not self._parts.must_wait()

    async def answered(self, line: StoredLine, *, alone: bool) -> LineAnswer | None:
        """The answer, however often it has to be asked for; None where the input is gone. Raises Later."""
        parts = self._parts
        while (answer := self.unasked(line)) is None:
            await self._until_it_may_begin()
            try:
                if alone:  # before it keeps other batches out
                    await self._until_idle()
                async with parts.entered(alone=alone):
                    if self.may_begin:
                        return await self._ask(line, alone=alone)
            except BlobGone:
                return None
            except Unauthorized:
                self.lacks_key = True
                raise Later from None
            except PASSING as error:
                wait_s = error.retry_after_s or RETRY_S
                await self._pause(wait_s if alone else min(wait_s, LONGEST_RETRY_S))
        return answer

    async def _ask(self, line: StoredLine, *, alone: bool) -> LineAnswer:
        """The answer, once. Its text is read where the key's limits leave it any, and not kept for later."""
        parts, by = self._parts, self._asked_by
        async with parts.reading(line.num_bytes), parts.answerer.visit(by) as visit:
            text = await parts.files.read_part(self._batch.blob, line.offset, line.num_bytes)
            async with self._known_to_be(line, alone=alone):
                return await parts.answerer.answer(self._endpoint, body_of(text), by, visit)

    def unasked(self, line: StoredLine) -> LineAnswer | None:
        """The answer to a line that is not asked any more, for its own ends or those of the batch."""
        if line.num_failures >= MAX_FAILURES:
            return not_asked(f"The engine, or the server, ended {line.num_failures} times over this request")
        if self._num_fatal >= MAX_FATAL:
            return not_asked(
                f"Not asked: engines ended over {self._num_fatal} of this batch's requests in a row"
            )
        return None

    async def has_ended_engine(self, line: StoredLine, answer: LineAnswer) -> bool:
        """Whether the line is to be asked once more since an engine ended over it, which is stored.

        Raises Later.
        """
        if answer.ended_engine is None:
            if answer.status_code < 500:
                self._num_fatal = 0
            return False
        self._parts.ends.add(answer.ended_engine)
        self.ended.add(answer.ended_engine)
        num_failures = line.num_failures + 1
        records, runner = self._parts.records, self._parts.runner
        await self._tell(lambda: records.suspect(self._batch, runner, line.number, num_failures))
        self._num_fatal += num_failures >= MAX_FAILURES
        return num_failures < MAX_FAILURES

    async def _until_it_may_begin(self) -> None:
        while not self.may_begin:
            await self._pause(PAUSE_S if self._parts.may_ask else RETRY_S)

    async def _pause(self, seconds: float) -> None:
        """Raises Later where the server ends first."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            if self._parts.shutdown.has_begun:
                raise Later
            await asyncio.sleep(min(left_s, RETRY_S))

    async def _until_idle(self) -> None:
        """Wait until nobody else's request is under way, `QUIET_S` at most.

        Not at all where that did not come last time: a server may never be idle. Raises Later.
        """
        until = time.monotonic() + self._patience_s
        while not self._parts.is_idle():
            if time.monotonic() >= until:
                self._patience_s = 0
                return
            await self._pause(PAUSE_S)
        self._patience_s = QUIET_S

    @asynccontextmanager
    async def _known_to_be(self, line: StoredLine, *, alone: bool) -> AsyncIterator[None]:
        """Have the state know of a line while it is asked by itself: the server may be killed over it.

        Raises Later. Where this is cancelled it stays known: a batch that is given back was not left.
        """
        if not alone:
            yield
            return
        records, runner = self._parts.records, self._parts.runner
        await self._tell(lambda: records.set_alone(self._batch, runner, line.number))
        try:
            yield
        except PASSING:
            await self._tell(lambda: records.set_alone(self._batch, runner, None))
            raise
        await self._tell(lambda: records.set_alone(self._batch, runner, None))

    async def _tell(self, tell: Callable[[], Awaitable[bool]]) -> None:
        """Store something of a line, however long the store takes. Raises Later."""
        while True:
            try:
                is_kept = await tell()
            except StoreFailure:
                await self._pause(RETRY_S)
                continue
            if is_kept:
                return
            self._lost()
            raise Later
