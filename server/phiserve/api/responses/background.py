"""Responses that nobody waits for: answered one after another, here or by the server that comes after."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import msgspec
from fastapi import Request
from msgspec.structs import replace as changed

from phiserve.access.visit import Visit
from phiserve.api.answering import Deltas, begin_answer
from phiserve.api.request_log import RequestLog, RequestRecord
from phiserve.api.responses.draft import Draft
from phiserve.api.responses.event_log import EventLog, EventLogs
from phiserve.api.responses.jobs import Job, read_job, requests_of
from phiserve.api.responses.keeping import Keeper, save_begun, save_ended
from phiserve.api.responses.telling import Telling
from phiserve.api.responses.writer import collect
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.errors import (
    EngineEnded,
    EngineFailure,
    EngineUnavailable,
    ModelNotFound,
    NotFound,
    Overloaded,
    RequestError,
    StoreFailure,
    Unauthorized,
)
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.response import ResponseObject
from phiserve.store.interface import StoredResponse
from phiserve.store.tended import again_and_again

_LOG = logging.getLogger(__name__)

RENEW_S = 5.0
"""How often a server says what it works on, and looks for what no server works on."""

CLAIM_AFTER_S = 20
"""Seconds after which a response that no server has renewed is another's to answer."""

CLEAR_S = 3600.0
"""How often what is too old or too much is removed from the store."""

RETRY_S = 2
"""Seconds until what failed for no fault of the response's is tried again."""

MAX_UNFINISHED = 1000
MAX_UNFINISHED_OF_OWNER = 100
"""Responses in the background of one process, of all owners and of each. They wait in the store, not here."""

BACKGROUND_ROUTE = "background"
"""What answers in the background are called in the log and in metrics: no request is under way."""

MAX_ENDS = 2
"""So often an engine may end while it answers a response: that may be what ends engines."""

_BUSY = (Overloaded, EngineUnavailable, StoreFailure)
"""Errors that say nothing of the response: it waits, and is tried again."""


class Background:
    """Answers what is queued, few at once; what the server is too busy for goes on waiting."""

    def __init__(self, services: Services, keeper: Keeper, shutdown: Shutdown, log: RequestLog) -> None:
        self.keeper = keeper
        self.logs = EventLogs()
        self._services = services
        self._shutdown = shutdown
        self._log = log
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._owners: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        self._most = max(2, services.engine.limits.running // 4)
        self._all = asyncio.Semaphore(self._most)
        self._of_owner: dict[str, asyncio.Semaphore] = {}
        self._num_answering = 0
        self._tending: list[asyncio.Task[None]] = []

    def is_answering(self) -> bool:
        """Whether anything is being answered, which the end of the server waits for."""
        return self._num_answering > 0

    def begin(self) -> None:
        """Begin to look after the store, until `close`."""
        # Clearing may take long, and what is being answered must be renewed all the same
        works = ((self._tend, RENEW_S), (self.keeper.store.clear_away, CLEAR_S))
        self._tending = [
            asyncio.create_task(again_and_again(work, pause_s, "Responses")) for work, pause_s in works
        ]

    async def close(self) -> None:
        """End all work; what is unfinished stays so in the store, for the server that comes after."""
        tasks = [*self._tasks.values(), *self._tending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.keeper.close()

    def check_room(self, owner: str) -> None:
        """Raises Overloaded where too many responses are unfinished."""
        if self._owners[owner] >= MAX_UNFINISHED_OF_OWNER:
            raise Overloaded("Too many unfinished responses of yours in the background", retry_after_s=30)
        if len(self._tasks) >= MAX_UNFINISHED:
            raise Overloaded("Too many unfinished responses in the background", retry_after_s=30)

    def start(self, owner: str, response_id: str) -> None:
        """Answer a response that is stored, when its turn comes."""
        task = asyncio.create_task(self._run(owner, response_id))
        self._tasks[response_id] = task
        self._owners[owner] += 1
        self.keeper.hold(response_id, task.cancel)

        def over(task: "asyncio.Task[None]") -> None:
            """It has ended, in whatever way: another may begin."""
            if not task.cancelled() and (error := task.exception()) is not None:
                _LOG.error("A response in the background is given up", exc_info=error)
            self.keeper.release(response_id)
            self.logs.close(response_id)
            del self._tasks[response_id], self._ends[response_id]
            self._owners[owner] -= 1
            if not self._owners[owner]:
                del self._owners[owner]
                self._of_owner.pop(owner, None)

        task.add_done_callback(over)

    def telling(self, owner: str, response_id: str, first: int = 0) -> Telling:
        """The events of a stored response, from number `first` on."""
        return Telling(self.keeper.store, self.logs, self._shutdown, (owner, response_id), first)

    async def _tend(self) -> None:
        """Raises StoreFailure."""
        await self.keeper.renew()
        await self._claim()

    async def _claim(self) -> None:
        """Take over what no server works on any more."""
        room = min(self._most, MAX_UNFINISHED - len(self._tasks))
        if self._shutdown.has_begun or room <= 0:
            return
        for found in await self.keeper.store.claim_unfinished(CLAIM_AFTER_S, room):
            if found.id in self._tasks:
                continue
            if found.request is None:  # a client waited for it, at a server that is gone
                self.keeper.remove(found.owner, found.id)
            elif self._serves(found):
                self.start(found.owner, found.id)

    def _serves(self, found: StoredResponse) -> bool:
        """Whether the model that was asked is served here; else another server of the store answers."""
        try:
            self._services.check_model(msgspec.json.decode(found.payload, type=ResponseObject).model)
        except (ModelNotFound, msgspec.MsgspecError):  # of another version, perhaps
            return False
        return True

    async def _run(self, owner: str, response_id: str) -> None:
        while not self._shutdown.has_begun:
            try:
                await self._take_turn(owner, response_id)
            except _BUSY as error:
                await asyncio.sleep(error.retry_after_s or RETRY_S)
            else:
                return

    async def _take_turn(self, owner: str, response_id: str) -> None:
        """Raises one of `_BUSY` where it is to be tried again."""
        half = self._of_owner.setdefault(owner, asyncio.Semaphore(self._most // 2))
        async with half, self._all:
            if self._shutdown.has_begun:
                return
            self._num_answering += 1
            try:
                await self._answer(owner, response_id)
            finally:
                self._num_answering -= 1

    async def _answer(self, owner: str, response_id: str) -> None:
        """Raises one of `_BUSY` where it is to be tried again."""
        stored = await self.keeper.store.response(owner, response_id)
        if stored is None or (request := stored.request) is None:  # deleted, or ended
            return
        begun = changed(msgspec.json.decode(stored.payload, type=ResponseObject), status="in_progress")
        stored = replace(stored, status="in_progress", payload=encode_json(begun).decode())
        log = self.logs.get(response_id)
        response = await self._response(stored, request, begun, log)
        if response is not None:
            self.keeper.hold(response_id)  # it is renewed still, but what has ended is not to be stopped
            saved = await self._save(stored, response)
            if log is not None and saved is not None:
                log.end(saved)

    async def _response(
        self, stored: StoredResponse, request: str, begun: ResponseObject, log: EventLog | None
    ) -> ResponseObject | None:
        """The response, answered or failed; None where nobody wants it any more. Raises one of `_BUSY`."""
        record = RequestRecord(owner=stored.owner or None)
        draft: Draft | None = None
        try:
            job = read_job(request)
            asked, inner = await requests_of(self._services, self.keeper.store, stored, job)
            async with self._visit(stored.owner, job) as visit:
                inner = replace(inner, cache_salt=asked.salt(visit.cache_salt), is_sent_once=True)
                answer, deltas = await begin_answer(self._services, inner, visit, record)
                draft = Draft(answer, begun, asked.tool_use)
                async with aclosing(deltas):
                    is_wanted = await save_begun(self.keeper.store, stored)
                    response = await _collected(draft, deltas, log) if is_wanted else None
        except asyncio.CancelledError:
            record.end("cancelled")
            raise
        except RequestError as error:
            record.end(error)
            self._ends[stored.id] += isinstance(error, EngineEnded)
            is_passing = isinstance(error, _BUSY) and self._ends[stored.id] < MAX_ENDS
            if is_passing and not (log is not None and log.has_answer):
                raise
            return Draft.nothing_of(begun, error) if draft is None else draft.failed(error)
        except Exception:
            _LOG.exception("a response in the background failed unexpectedly")
            record.end("internal_error")
            return Draft.nothing_of(begun, EngineFailure("The server failed on this request"))
        else:
            record.end("ok")
            return response
        finally:
            if record.outcome != Overloaded.default_code or record.sent_at is not None:
                self._log.tell(BACKGROUND_ROUTE, stored.id, None, record)

    @asynccontextmanager
    async def _visit(self, owner: str, job: Job) -> AsyncIterator[Visit]:
        """The limits of the key that asked, for as long as the answer takes.

        Raises Unauthorized where that key is not valid any more, RateLimitReached where they are used up.
        """
        gate = self._services.gate
        if gate is None and job.key is None:
            yield Visit()
            return
        key = None if gate is None or job.key is None else gate.key_with_id(job.key)
        if gate is None or key is None or key.owner != owner:
            raise Unauthorized("The API key that asked for this response is not valid any more")
        async with gate.enter(key, is_tried_again=True) as visit:
            yield visit

    async def _save(self, stored: StoredResponse, response: ResponseObject) -> ResponseObject | None:
        """Store what became of it, however long the store takes to answer again; what is stored.

        None where it has another end, which is told from the store.
        """
        while True:
            try:
                is_saved = await save_ended(self.keeper.store, stored, response)
            except NotFound as gone:  # its conversation: of what fails, none needs to be told
                response = Draft.nothing_of(response, gone)
            except StoreFailure as failure:
                _LOG.warning("A response in the background cannot be stored yet: %s", failure)
                await asyncio.sleep(RETRY_S)
            else:
                return response if is_saved else None


async def _collected(draft: Draft, deltas: Deltas, log: EventLog | None) -> ResponseObject:
    """The response, whose events are told to the log, where it has one."""
    if log is None:
        return await collect(draft, deltas)
    log.begin(draft.begun)
    return await collect(draft, deltas, log.tell)


def background_of(request: Request) -> Background | None:
    """What answers in the background; None where nothing is stored."""
    background: Background | None = request.app.state.background
    return background
