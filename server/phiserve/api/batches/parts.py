"""What a server works on batches with."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from phiserve.api.batches.answering import LineAnswerer, window_of
from phiserve.api.batches.ends import EngineEnds
from phiserve.api.request_log import RequestLog
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.files.keeping import FileKeeper
from phiserve.store.batch_records import BatchRecords
from phiserve.store.limits import BatchLimits
from phiserve.turns import NOBODY, Room

ENDS_LEFT = 2
"""Of `max_engine_restarts`, for whatever else ends engines."""


MAX_BYTES_AT_ONCE = 256 * 2**20
"""Bytes of requests of batches that are in memory at once; a larger one by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchParts:
    """Parts that all batches of a server share.

    `runner`: by which name one of them is worked on, see `for_one`. `window`: `most` requests of batches are
    under way at once; `texts`: room for what is read of their lines. `must_wait`: whether none should begin
    now; `serves`: whether there is an engine; `is_idle`: whether no request at all is unfinished. `ends`: of
    engines, over requests of batches. `models`: the names of the model, the main one first; `model_of`: the
    one of these that a line asks for; raises ModelNotFound.
    """

    records: BatchRecords
    files: FileKeeper
    limits: BatchLimits
    answerer: LineAnswerer
    shutdown: Shutdown
    models: tuple[str, ...]
    max_body_bytes: int
    must_wait: Callable[[], bool]
    serves: Callable[[], bool]
    is_idle: Callable[[], bool]
    ends: EngineEnds
    model_of: Callable[[str | None], str]
    most: int
    window: Room
    texts: Room
    runner: str = field(default_factory=lambda: uuid.uuid4().hex)

    def for_one(self) -> "BatchParts":
        """The same for one batch, under a name that nothing else has, here or elsewhere, now or later."""
        return replace(self, runner=uuid.uuid4().hex)

    @classmethod
    def of(cls, services: Services, shutdown: Shutdown, log: RequestLog) -> "BatchParts | None":
        """Of a server's services; None where nothing, or no file, is stored."""
        if services.batches is None or services.files is None:
            return None
        settings, most = services.settings, window_of(services)
        return cls(
            records=services.batches,
            files=services.files,
            limits=BatchLimits(
                settings.batch_max_lines,
                settings.batch_max_bytes,
                settings.batch_max_lines_per_owner,
                settings.batch_max_bytes_per_owner,
                services.files.limits.max_bytes_per_owner,
            ),
            answerer=LineAnswerer(services, log),
            shutdown=shutdown,
            models=(services.card.id, *services.other_names),
            max_body_bytes=settings.max_body_bytes,
            must_wait=lambda: services.pipeline.interactive_waits,
            serves=lambda: services.engine.health.state == "serving",
            is_idle=lambda: services.pipeline.is_idle,
            ends=EngineEnds(settings.max_engine_restarts - ENDS_LEFT),
            model_of=services.check_model,
            most=most,
            window=Room(most),
            texts=Room(MAX_BYTES_AT_ONCE),
        )

    @property
    def may_ask(self) -> bool:
        """Whether there is an engine that a request of a batch may be sent to."""
        return self.serves() and not self.ends.must_wait

    @asynccontextmanager
    async def entered(self, *, alone: bool) -> AsyncIterator[None]:
        """Be one of the requests of batches that are under way, or the only one."""
        size = self.most if alone else 1
        await self.window.enter(NOBODY, size, size)
        try:
            yield
        finally:
            self.window.leave(size)

    @asynccontextmanager
    async def reading(self, num_bytes: int) -> AsyncIterator[None]:
        """Hold the text of a request, of so many bytes, once there is room for it beside all others'."""
        await self.texts.enter(NOBODY, num_bytes, num_bytes)
        try:
            yield
        finally:
            self.texts.leave(num_bytes)
