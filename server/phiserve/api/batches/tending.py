"""All batches of a server: which of them it works on, for as long as it runs."""

import asyncio
import logging
import time
from dataclasses import dataclass

from fastapi import Request
from prometheus_client import Counter, Gauge

from phiserve.api.batches import states
from phiserve.api.batches.answering import AskedBy
from phiserve.api.batches.parts import BatchParts
from phiserve.api.batches.running import BatchRun
from phiserve.errors import StoreFailure
from phiserve.protocol.batches.batch import NewBatch
from phiserve.store.batches import Stage, StoredBatch

_LOG = logging.getLogger(__name__)

BATCHES = Counter("phiserve_batches", "Batches that ended, by their status.", ["status"])
OF_OTHERS = Gauge(
    "phiserve_batches_of_other_models", "Batches that wait for a model that this server does not serve."
)

RENEW_S = 5.0
"""How often a server says what it works on, and looks for what no server works on."""

CLAIM_AFTER_S = 20
"""Seconds after which a batch that no server has renewed is another's."""

OTHERS_S = 60
"""How often a server looks what waits, and has for so long, for models that it does not serve."""

HOLD_S = 60.0
"""Seconds after which it is looked again whether an owner without a valid key has one."""

AT_ONCE: dict[Stage, int] = {"ending": 4, "validating": 2, "in_progress": 4}
"""Batches at the same time, each of another owner; those of one stage hold up none of another."""


@dataclass(frozen=True, slots=True)
class _Work:
    """A batch that is worked on."""

    stage: Stage
    run: BatchRun
    task: asyncio.Task[None]


class Batches:
    """Works on batches, at each stage on few at once: one of each owner, the oldest first."""

    def __init__(self, parts: BatchParts) -> None:
        self._parts = parts
        self._work: dict[str, _Work] = {}
        """By the names of their runners."""
        self._served: dict[Stage, set[str]] = {stage: set() for stage in AT_ONCE}
        """Owners who have had their turn, while others have not."""
        self._held: dict[str, float] = {}
        """Owners without a valid key -> when it is looked again whether they have one."""
        self._others: frozenset[str] = frozenset()
        """Models that batches wait for, and of which the log has told."""
        self._looks_at_others_at = 0.0
        self._looks = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None

    @property
    def parts(self) -> BatchParts:
        """What it works with."""
        return self._parts

    def is_answering(self) -> bool:
        """Whether any request is under way, which the end of the server waits for."""
        return any(work.run.is_answering for work in self._work.values())

    def begin(self) -> None:
        """Begin to work, until `close`."""
        self._tending = asyncio.create_task(self._tend())

    async def close(self) -> None:
        """End all work; what is not stored is done again by the server that comes after."""
        tasks = [work.task for work in self._work.values()]
        tasks += [self._tending] if self._tending else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def create(self, new: NewBatch, asked_by: AskedBy) -> StoredBatch | None:
        """A new batch, which will be validated; None where there is no such file, or it is not for batches.

        Raises InvalidRequest where there is too much of it, and StoreFailure.
        """
        batch = states.begun(new, asked_by, self._parts.models[0])
        stored = await self._parts.records.create(batch, new.input_file_id, self._parts.limits)
        self._looks.set()
        return stored

    async def cancel(self, owner: str, batch_id: str) -> StoredBatch | None:
        """End a batch; None where there is none. Raises InvalidRequest where it has ended, StoreFailure."""
        stored = await self._parts.records.change(owner, batch_id, states.cancelling)
        for work in self._work.values():
            if stored is not None and work.run.batch.id == batch_id:
                work.run.cancel()
        self._looks.set()
        return stored

    async def _tend(self) -> None:
        while True:
            self._looks.clear()  # before the look: what happens during one is looked for by the next
            try:
                await self._renew()
                await self._parts.records.let_go_of_ahead(CLAIM_AFTER_S)
                for stage in AT_ONCE:
                    while await self._claim(stage):
                        pass
                await self._look_at_others()
            except StoreFailure as failure:
                _LOG.warning("Batches are not tended: %s", failure)
            except Exception:
                _LOG.exception("Batches are not tended")
            await _set_within(self._looks, RENEW_S)

    async def _renew(self) -> None:
        """Tell other servers what this one works on, and learn what was cancelled or taken over."""
        if not (runners := [*self._work]):
            return
        standing = await self._parts.records.renew(runners)
        for runner in runners:
            if (work := self._work.get(runner)) is None:
                continue
            if runner not in standing:
                work.run.give_up()
            elif standing[runner] == "cancelling":
                work.run.cancel()

    async def _claim(self, stage: Stage) -> bool:
        """Whether to look for one more batch of which this is due."""
        parts, served = self._parts.for_one(), self._served[stage]
        busy = {work.run.batch.owner for work in self._work.values() if work.stage == stage}
        held = {owner for owner, until in self._held.items() if until > time.monotonic()}
        if parts.shutdown.has_begun or len(busy) >= AT_ONCE[stage]:
            return False
        others = busy | served | (held if stage == "in_progress" else set())
        batch = await parts.records.claim(parts.runner, stage, parts.models, others, CLAIM_AFTER_S)
        if batch is not None:
            served.add(batch.owner)
            self._start(stage, parts, batch)
            return True
        had_turns = bool(served - busy)
        served.clear()
        return had_turns

    async def _look_at_others(self) -> None:
        """Tell of batches that wait for models which perhaps nobody serves any more."""
        if time.monotonic() < self._looks_at_others_at:
            return
        self._looks_at_others_at = time.monotonic() + OTHERS_S
        found = await self._parts.records.of_others(self._parts.models, OTHERS_S)
        OF_OTHERS.set(sum(found.values()))
        for model in sorted({*found} - self._others):
            _LOG.warning(
                "%d batches wait for the model %r, which is not served here; if nowhere else, they expire",
                found[model],
                model,
            )
        self._others = frozenset(found)

    def _start(self, stage: Stage, parts: BatchParts, batch: StoredBatch) -> None:
        run = BatchRun(parts, batch)
        task = asyncio.create_task(self._run(run, parts.runner))
        self._work[parts.runner] = _Work(stage, run, task)

        def over(_task: "asyncio.Task[None]") -> None:
            """Look at once for what follows, where this has not failed."""
            del self._work[parts.runner]
            if run.batch.status != batch.status:
                self._looks.set()

        task.add_done_callback(over)

    async def _run(self, run: BatchRun, runner: str) -> None:
        """Work on a batch; whatever fails leaves it to the server that looks next."""
        try:
            await run.run()
            self._hold(run)
            if run.batch.has_ended:
                BATCHES.labels(run.batch.status).inc()
        except StoreFailure as failure:
            _LOG.warning("A batch is left for a moment: %s", failure)
        except Exception:
            _LOG.exception("a batch failed unexpectedly")
        finally:
            await self._release(runner)

    def _hold(self, run: BatchRun) -> None:
        """Leave an owner's batches alone for a while where no line can be asked without a key."""
        batch = run.batch
        if not run.lacks_key:
            self._held.pop(batch.owner, None)
            return
        if batch.owner not in self._held:
            _LOG.warning(
                "Batches of %r, as %s, wait until they expire: no API key of this owner is valid any more",
                batch.owner,
                batch.id,
            )
        self._held[batch.owner] = time.monotonic() + HOLD_S

    async def _release(self, runner: str) -> None:
        """Another server may go on at once; without this, after `CLAIM_AFTER_S`."""
        try:
            await self._parts.records.release(runner)
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
