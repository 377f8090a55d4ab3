"""All batches of a server: which of them it works on, for as long as it runs."""

import asyncio
import logging

from fastapi import Request
from prometheus_client import Counter

from phiserve.api.batches import states
from phiserve.api.batches.answering import AskedBy
from phiserve.api.batches.parts import BatchParts
from phiserve.api.batches.running import BatchRun
from phiserve.errors import StoreFailure
from phiserve.protocol.batches.batch import NewBatch
from phiserve.store.batches import StoredBatch

_LOG = logging.getLogger(__name__)

BATCHES = Counter("phiserve_batches", "Batches that ended, by their status.", ["status"])

RENEW_S = 5.0
"""How often a server says what it works on, and looks for what no server works on."""

CLAIM_AFTER_S = 20
"""Seconds after which a batch that no server has renewed is another's."""

MAX_RUNNING = 4
"""Batches of which requests are answered at the same time, each of another owner."""


class Batches:
    """Works on batches, few at once: one of each owner, the oldest first."""

    def __init__(self, parts: BatchParts) -> None:
        self._parts = parts
        self._runs: dict[str, BatchRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looks = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    @property
    def parts(self) -> BatchParts:
        """What it works with."""
        return self._parts

    def is_answering(self) -> bool:
        """Whether any request is under way, which the end of the server waits for."""
        return any(run.is_answering for run in self._runs.values())

    def begin(self) -> None:
        """Begin to work, until `close`."""
        self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        """End all work; what is not stored is done again by the server that comes after."""
        tasks = [*self._tasks.values(), *([self._tending] if self._tending else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def create(self, new: NewBatch, asked_by: AskedBy) -> StoredBatch | None:
        """A new batch, which waits for its turn; None where there is no such file, or it is not for batches.

        Raises InvalidRequest where there is too much of it, and StoreFailure.
        """
        batch = states.begun(new, asked_by, self._parts.models[0])
        stored = await self._parts.records.create(batch, new.input_file_id, self._parts.limits)
        self._looks.set()
        return stored

    async def cancel(self, owner: str, batch_id: str) -> StoredBatch | None:
        """End a batch; None where there is none. Raises InvalidRequest where it has ended, StoreFailure."""
        stored = await self._parts.records.change(owner, batch_id, states.cancelling)
        if stored is not None and (run := self._runs.get(batch_id)) is not None:
            run.cancel()
        self._looks.set()
        return stored

    async def _tend(self) -> None:
        while True:
            try:
                await self._renew()
                while await self._claim():
                    pass
            except StoreFailure as failure:
                _LOG.warning("Batches are not tended: %s", failure)
            except Exception:
                _LOG.exception("Batches are not tended")
            self._looks.clear()
            await _set_within(self._looks, RENEW_S)

    async def _renew(self) -> None:
        """Tell other servers what this one works on, and learn what was cancelled or taken over."""
        if not self._runs:
            return
        standing = await self._parts.records.renew(self._parts.runner, [*self._runs])
        for batch_id, run in self._runs.items():
            if batch_id not in standing:
                run.give_up()
            elif standing[batch_id] == "cancelling":
                run.cancel()

    async def _claim(self) -> bool:
        """Whether there was a batch to work on."""
        parts = self._parts
        if parts.shutdown.has_begun or len(self._runs) >= MAX_RUNNING:
            return False
        busy = {run.batch.owner for run in self._runs.values()}
        batch = await parts.records.claim(parts.runner, parts.models, busy, CLAIM_AFTER_S)
        if batch is not None:
            self._start(batch)
        return batch is not None

    def _start(self, batch: StoredBatch) -> None:
        run = self._runs[batch.id] = BatchRun(self._parts, batch)
        task = self._tasks[batch.id] = asyncio.create_task(self._run(run))

        def over(_task: "asyncio.Task[None]") -> None:
            """Another may begin, at once where this has not failed."""
            del self._runs[batch.id], self._tasks[batch.id]
            if run.batch.has_ended:
                self._looks.set()

        task.add_done_callback(over)

    async def _run(self, run: BatchRun) -> None:
        """Work on a batch; whatever fails leaves it to the server that looks next."""
        try:
            await run.run()
            if run.batch.has_ended:
                BATCHES.labels(run.batch.status).inc()
        except StoreFailure as failure:
            _LOG.warning("A batch is left for a moment: %s", failure)
        except Exception:
            _LOG.exception("a batch failed unexpectedly")
        finally:
            await self._release(run)

    async def _release(self, run: BatchRun) -> None:
        """Another server may go on at once; without this, after `CLAIM_AFTER_S`."""
        try:
            await self._parts.records.release(self._parts.runner, run.batch.id)
        except StoreFailure as failure:
            _LOG.warning("A batch is not given back: %s", failure)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def batches_of(request: Request) -> Batches | None:
    """What works on batches; None where nothing is stored."""
    batches: Batches | None = request.app.state.batches
    return batches
