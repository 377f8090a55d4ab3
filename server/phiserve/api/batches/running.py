"""One batch at a server: validated, or answered line by line and given out; begun here, or gone on with."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from prometheus_client import Counter, Gauge

from phiserve.api.batches import states
from phiserve.api.batches.answering import PASSING, LineAnswer, not_asked
from phiserve.api.batches.finishing import finish
from phiserve.api.batches.parts import BatchParts
from phiserve.api.batches.saving import ResultSaver, result_of
from phiserve.api.batches.validation import NotThere, validate
from phiserve.errors import StoreFailure
from phiserve.files.blobs import BlobGone
from phiserve.protocol.batches.lines import body_of
from phiserve.store.batch_lines import StoredLine
from phiserve.store.batches import StoredBatch

LINES = Counter("phiserve_batch_lines", "Requests of batches that ended, by how they ended.", ["outcome"])
RUNNING = Gauge("phiserve_batch_lines_running", "Requests of batches that are being answered.")

RETRY_S = 2.0
"""Seconds until what passes is tried again, unless that says itself."""

LONGEST_RETRY_S = 5.0

PAUSE_S = 0.05
"""How often it is asked whether requests that somebody waits for still wait, or the store is behind."""

MAX_BYTES_AT_ONCE = 256 * 2**20
"""Bytes of requests that are in memory at once; a larger one by itself."""

_PAGE = 500
"""Lines of which it is known at once where they stand."""

MAX_FAILURES = 2
"""So often an engine may end while a line is under way; the second time the line was alone."""

MAX_ENDS = 3
"""Engines that end over a batch before its suspects are asked, though other lines have not been yet."""

MAX_FATAL = 5
"""Lines of a batch in a row that end an engine by themselves, after which no other one of it is asked."""

QUIET_S = 30.0
"""Longest time that a suspect waits for requests of others to end."""

_Page = Callable[[StoredBatch, tuple[str, int], int], Awaitable[Sequence[StoredLine]]]
"""Some lines behind a place."""


class BatchRun:
    """One batch until it waits for its turn, or has ended here.

    `run` once; `cancel` and `give_up` at any time, before that too.
    """

    def __init__(self, parts: BatchParts, batch: StoredBatch) -> None:
        self.batch = batch
        self._parts = parts
        self._endpoint = states.shown(batch).endpoint
        self._asked_by = states.asked_by(batch)
        self._saver = ResultSaver(parts, batch, self.give_up)
        self._ended: set[int] = set()
        """Engines that ended over it since suspects were asked last."""
        self._num_fatal = 0
        self._failed: list[StoredLine] = []
        """Lines over which an engine failed that goes on: they are asked once more, too, in the end."""
        self._patience_s = QUIET_S
        self._is_lost = False
        self._is_over = asyncio.Event()
        """Nothing more is to be answered here."""
        self._num_running = 0
        self._num_bytes = 0
        self._has_room = asyncio.Event()

    @property
    def is_answering(self) -> bool:
        """Whether any of its requests is under way, or answered and not stored yet."""
        return self._num_running > 0 or self._saver.is_saving

    def cancel(self) -> None:
        """Nobody wants the rest of it."""
        self._is_over.set()

    def give_up(self) -> None:
        """It is another server's."""
        self._is_lost = True
        self._is_over.set()

    async def run(self) -> None:
        """Validate it, or answer what is left and end it; comes back also where another is to go on.

        Raises StoreFailure.
        """
        found_as, left_s = self.batch.status, self.batch.expires_at - time.time()
        try:
            if found_as == "validating" and left_s > 0:
                await self._unless_over(self._validate(), left_s)
                if self.batch.status == "in_progress":
                    return  # until its turn comes
            elif found_as == "in_progress" and left_s > 0:
                await self._unless_over(self._answer_all(), left_s)
                await self._saver.flush()
            if not (self.batch.has_ended or self._is_lost or self._parts.shutdown.has_begun):
                self.batch = await finish(self._parts, self.batch)
        except NotThere:
            self.give_up()
        finally:
            await self._saver.close()

    async def _validate(self) -> None:
        self.batch = await validate(self._parts, self.batch)

    async def _unless_over(self, work: Coroutine[object, object, None], timeout_s: float) -> None:
        """Do some work until it is done, its time is over, or nobody wants it."""
        working = asyncio.create_task(work)
        ending = asyncio.create_task(self._is_over.wait())
        try:
            await asyncio.wait({working, ending}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, ending):
                task.cancel()
            await asyncio.gather(working, ending, return_exceptions=True)

    async def _answer_all(self) -> None:
        """Answer all lines.

        Those over which an engine ended or failed come last, one at a time: the one that ends engines does so
        again, and the others do not. They come sooner where engines end too often.
        """
        is_whole = False
        while not (is_whole or self._parts.shutdown.has_begun):
            self._ended.clear()
            is_whole = await self._answer_together()
            await self._answer_suspects()
            await self._saver.flush()  # what is answered is not to be found again
        while self._failed and not self._parts.shutdown.has_begun:
            line = self._failed.pop()
            self._begin(line)
            await self._answer(line, again=True)

    async def _answer_together(self) -> bool:
        """Begin lines as there is room; whether that was all of them."""
        after = ("", 0)
        async with asyncio.TaskGroup() as group:
            while lines := await self._page(self._parts.records.unanswered, after):
                after = (lines[-1].together, lines[-1].number)
                for line in lines:
                    await self._wait_for_room(line)
                    if self._parts.shutdown.has_begun or len(self._ended) >= MAX_ENDS:
                        return False
                    self._begin(line)
                    group.create_task(self._answer(line))
        return True

    async def _answer_suspects(self) -> None:
        after = ("", 0)
        while lines := await self._page(self._parts.records.suspects, after):
            after = (lines[-1].together, lines[-1].number)
            for line in lines:
                if self._parts.shutdown.has_begun:
                    return
                self._begin(line)
                await self._answer(line, alone=True)

    async def _page(self, page: _Page, after: tuple[str, int]) -> Sequence[StoredLine]:
        while True:
            try:
                return await page(self.batch, after, _PAGE)
            except StoreFailure:
                await asyncio.sleep(RETRY_S)

    async def _wait_for_room(self, line: StoredLine) -> None:
        while self._num_running >= self._parts.most or (
            self._num_running and self._num_bytes + line.num_bytes > MAX_BYTES_AT_ONCE
        ):
            self._has_room.clear()
            await self._has_room.wait()
        while self._saver.is_behind or not (self._may_begin or self._unasked(line)):
            await asyncio.sleep(PAUSE_S)

    @property
    def _may_begin(self) -> bool:
        return self._parts.may_ask and not self._parts.must_wait()

    def _begin(self, line: StoredLine) -> None:
        RUNNING.inc()
        self._num_running += 1
        self._num_bytes += line.num_bytes

    async def _answer(self, line: StoredLine, *, alone: bool = False, again: bool = False) -> None:
        try:
            answer = await self._answered(line, alone=alone)
            if answer is not None and await self._is_asked_again(line, answer, again=again):
                return
            LINES.labels("completed" if answer is not None and answer.is_ok else "failed").inc()
            self._saver.add(result_of(line, answer))
        except _Later:
            return
        finally:
            RUNNING.dec()
            self._num_running -= 1
            self._num_bytes -= line.num_bytes
            self._has_room.set()

    async def _answered(self, line: StoredLine, *, alone: bool) -> LineAnswer | None:
        """The answer, however often it has to be asked for; None where the input is gone. Raises _Later."""
        parts = self._parts
        while (answer := self._unasked(line)) is None:
            await self._until_it_may_begin()
            try:
                text = await parts.files.read_part(self.batch.blob, line.offset, line.num_bytes)
                if alone:  # before it keeps other batches out
                    await self._until_idle()
                async with parts.entered(alone=alone):
                    if self._may_begin:
                        return await parts.answerer.answer(self._endpoint, body_of(text), self._asked_by)
            except BlobGone:
                return None
            except PASSING as error:
                wait_s = error.retry_after_s or RETRY_S
                await self._pause(wait_s if alone else min(wait_s, LONGEST_RETRY_S))
        return answer

    def _unasked(self, line: StoredLine) -> LineAnswer | None:
        """The answer to a line that is not asked any more, for its own ends or those of the batch."""
        if line.num_failures >= MAX_FAILURES:
            return not_asked(f"The engine ended {line.num_failures} times over this request")
        if self._num_fatal >= MAX_FATAL:
            return not_asked(
                f"Not asked: engines ended over {self._num_fatal} of this batch's requests in a row"
            )
        return None

    async def _until_it_may_begin(self) -> None:
        while not self._may_begin:
            await self._pause(PAUSE_S if self._parts.may_ask else RETRY_S)

    async def _pause(self, seconds: float) -> None:
        """Raises _Later where the server ends first."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            if self._parts.shutdown.has_begun:
                raise _Later
            await asyncio.sleep(min(left_s, RETRY_S))

    async def _until_idle(self) -> None:
        """Wait until nobody else's request is under way, `QUIET_S` at most.

        Not at all where that did not come last time: a server may never be idle. Raises _Later.
        """
        until = time.monotonic() + self._patience_s
        while not self._parts.is_idle():
            if time.monotonic() >= until:
                self._patience_s = 0
                return
            await self._pause(PAUSE_S)
        self._patience_s = QUIET_S

    async def _is_asked_again(self, line: StoredLine, answer: LineAnswer, *, again: bool) -> bool:
        """Whether the line is to be asked once more, since an engine ended or failed over it.

        Raises _Later where the batch is another server's.
        """
        if answer.ended_engine is not None:
            self._parts.ends.add(answer.ended_engine)
            self._ended.add(answer.ended_engine)
            num_failures = line.num_failures + 1
            await self._keep(line, num_failures)
            self._num_fatal += num_failures >= MAX_FAILURES
            return num_failures < MAX_FAILURES
        if answer.is_engine_failure and not again:
            self._failed.append(line)
            return True
        if answer.status_code < 500:
            self._num_fatal = 0
        return False

    async def _keep(self, line: StoredLine, num_failures: int) -> None:
        """Store how often engines ended over a line. Raises _Later."""
        records, runner = self._parts.records, self._parts.runner
        while True:
            try:
                is_kept = await records.suspect(self.batch, runner, line.number, num_failures)
            except StoreFailure:
                await self._pause(RETRY_S)
                continue
            if is_kept:
                return
            self.give_up()
            raise _Later


class _Later(Exception):
    """The server ends: whatever stands in the way passes at the next one."""
