"""One batch at a server: validated, or answered line by line and given out; begun here, or gone on with."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence

from prometheus_client import Counter, Gauge

from phiserve.api.batches import asking
from phiserve.api.batches.answering import LineAnswer
from phiserve.api.batches.asking import Later, LineAsker
from phiserve.api.batches.finishing import finish
from phiserve.api.batches.parts import BatchParts
from phiserve.api.batches.saving import ResultSaver, result_of
from phiserve.api.batches.validation import NotThere, validate
from phiserve.errors import StoreFailure
from phiserve.store.batch_lines import StoredLine
from phiserve.store.batches import StoredBatch

LINES = Counter("phiserve_batch_lines", "Requests of batches that ended, by how they ended.", ["outcome"])
RUNNING = Gauge("phiserve_batch_lines_running", "Requests of batches that are being answered.")

_PAGE = 500
"""Lines of which it is known at once where they stand."""

MAX_ENDS = 3
"""Engines that end over a batch before its suspects are asked, though other lines have not been yet."""

MAX_LEFT = 2
"""Servers that are killed over a batch in a row before lines that may be why are asked one at a time."""

_Page = Callable[[StoredBatch, tuple[str, int], int], Awaitable[Sequence[StoredLine]]]
"""Some lines behind a place."""


class BatchRun:
    """One batch until it waits for its turn, or has ended here.

    `run` once; `cancel` and `give_up` at any time, before that too.
    """

    def __init__(self, parts: BatchParts, batch: StoredBatch) -> None:
        self.batch = batch
        self._parts = parts
        self._asker = LineAsker(parts, batch, self.give_up)
        self._saver = ResultSaver(parts, batch, self.give_up)
        self._failed: list[StoredLine] = []
        """Lines over which an engine failed that goes on: they are asked once more, too, in the end."""
        self._passing: list[StoredLine] = []
        """As these, lines that failed over what may have passed by then."""
        self._is_lost = False
        self._is_over = asyncio.Event()
        """Nothing more is to be answered here."""
        self._num_running = 0
        self._has_room = asyncio.Event()

    @property
    def is_answering(self) -> bool:
        """Whether any of its requests is under way, or answered and not stored yet."""
        return self._num_running > 0 or self._saver.is_saving

    @property
    def lacks_key(self) -> bool:
        """Whether it came back since its owner has no valid key left."""
        return self._asker.lacks_key

    @property
    def _stops(self) -> bool:
        """Whether no further line is to begin here."""
        return self._parts.shutdown.has_begun or self._asker.lacks_key

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
            if not (self.batch.has_ended or self._is_lost or self._stops):
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
        if self.batch.num_left >= MAX_LEFT:
            await self._answer_carefully()
        is_whole = False
        while not (is_whole or self._stops):
            self._asker.ended.clear()
            is_whole = await self._answer_together()
            await self._answer_suspects()
            await self._saver.flush()  # what is answered is not to be found again
        while (self._passing or self._failed) and not self._stops:
            await self._answer_passing()
            await self._answer_failed()
            await self._saver.flush()
            await self._answer_suspects()

    async def _answer_carefully(self) -> None:
        """Answer the lines that may have been under way when servers were killed, one at a time."""
        for line in await self._page(self._parts.records.unanswered, ("", 0), self._parts.most):
            if self._stops:
                return
            self._begin()
            await self._answer(line, alone=True)
        await self._saver.flush()
        self._failed.clear()  # they are found again, as they are not answered
        self._passing.clear()

    async def _answer_together(self) -> bool:
        """Begin lines as there is room; whether that was all of them."""
        after = ("", 0)
        async with asyncio.TaskGroup() as group:
            while lines := await self._page(self._parts.records.unanswered, after):
                after = (lines[-1].together, lines[-1].number)
                for line in lines:
                    await self._wait_for_room(line)
                    if self._stops or len(self._asker.ended) >= MAX_ENDS:
                        return False
                    self._begin()
                    group.create_task(self._answer(line))
        return True

    async def _answer_passing(self) -> None:
        """Ask what may be answered now once more, together."""
        async with asyncio.TaskGroup() as group:
            while self._passing:
                line = self._passing.pop()
                await self._wait_for_room(line)
                if self._stops:
                    return
                self._begin()
                group.create_task(self._answer(line, again=True))

    async def _answer_failed(self) -> None:
        while self._failed and not self._stops:
            line = self._failed.pop()
            self._begin()
            await self._answer(line, again=True)

    async def _answer_suspects(self) -> None:
        after = ("", 0)
        while lines := await self._page(self._parts.records.suspects, after):
            after = (lines[-1].together, lines[-1].number)
            for line in lines:
                if self._stops:
                    return
                self._begin()
                await self._answer(line, alone=True)

    async def _page(self, page: _Page, after: tuple[str, int], most: int = _PAGE) -> Sequence[StoredLine]:
        while True:
            try:
                return await page(self.batch, after, most)
            except StoreFailure:
                await asyncio.sleep(asking.RETRY_S)

    async def _wait_for_room(self, line: StoredLine) -> None:
        while self._num_running >= self._parts.most:
            self._has_room.clear()
            await self._has_room.wait()
        while self._saver.is_behind or not (self._asker.may_begin or self._asker.unasked(line)):
            await asyncio.sleep(asking.PAUSE_S)

    def _begin(self) -> None:
        RUNNING.inc()
        self._num_running += 1

    async def _answer(self, line: StoredLine, *, alone: bool = False, again: bool = False) -> None:
        try:
            answer = await self._asker.answered(line, alone=alone)
            if answer is not None and await self._is_asked_again(line, answer, again=again):
                return
            LINES.labels("completed" if answer is not None and answer.is_ok else "failed").inc()
            self._saver.add(result_of(line, answer))
        except Later:
            return
        finally:
            RUNNING.dec()
            self._num_running -= 1
            self._has_room.set()

    async def _is_asked_again(self, line: StoredLine, answer: LineAnswer, *, again: bool) -> bool:
        """Whether the line is to be asked once more. Raises Later where the batch is another server's."""
        if await self._asker.has_ended_engine(line, answer):
            return True
        if answer.ended_engine is not None or again:
            return False
        if answer.is_engine_failure:
            self._failed.append(line)
        elif answer.may_pass:
            self._passing.append(line)
        return answer.is_engine_failure or answer.may_pass
