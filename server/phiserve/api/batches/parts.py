"""What a server works on batches with."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from phiserve.api.batches.answering import LineAnswerer, window_of
from phiserve.api.request_log import RequestLog
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from phiserve.files.keeping import FileKeeper
from phiserve.store.batch_records import BatchRecords
from phiserve.store.limits import BatchLimits


@dataclass(frozen=True, slots=True, eq=False)
class BatchParts:
    """Parts that all batches of a server share.

    `runner`: by which name it works on them. `window`: `most` requests of batches are under way at once.
    `must_wait`: whether none should begin now. `models`: the names of the model, the main one first;
    `model_of`: the one of these that a line asks for; raises ModelNotFound.
    """

    records: BatchRecords
    files: FileKeeper
    limits: BatchLimits
    answerer: LineAnswerer
    shutdown: Shutdown
    models: tuple[str, ...]
    max_body_bytes: int
    must_wait: Callable[[], bool]
    model_of: Callable[[str | None], str]
    most: int
    window: asyncio.Semaphore
    runner: str = field(default_factory=lambda: uuid.uuid4().hex)

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
            ),
            answerer=LineAnswerer(services, log),
            shutdown=shutdown,
            models=(services.card.id, *services.other_names),
            max_body_bytes=settings.max_body_bytes,
            must_wait=lambda: services.pipeline.interactive_waits,
            model_of=services.check_model,
            most=most,
            window=asyncio.Semaphore(most),
        )
