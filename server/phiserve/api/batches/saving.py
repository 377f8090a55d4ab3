"""Answers of a batch on their way into the store: in one transaction those that came during another."""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from phiserve.api.batches.answering import LineAnswer
from phiserve.api.batches.parts import BatchParts
from phiserve.errors import StoreFailure
from phiserve.protocol.batches.lines import (
    LineFailure,
    LineResponse,
    answered_line,
    failed_line,
    new_line_id,
)
from phiserve.store.batch_lines import LineResult, StoredLine
from phiserve.store.batches import StoredBatch

_LOG = logging.getLogger(__name__)

MOST_AT_ONCE = 200
"""Results stored in one transaction, for which others' wait: that takes a few hundredths of a second."""

MOST_PENDING = 1000
"""Results that wait to be stored, beyond which no further line should begin."""

RETRY_S = 2.0
"""Seconds until what the store did not take is tried again."""

_GONE = LineFailure("file_not_found", "The batch's input file is gone.")


class ResultSaver:
    """Stores results of one batch. `lost` is called once the batch is another server's."""

    def __init__(self, parts: BatchParts, batch: StoredBatch, lost: Callable[[], object]) -> None:
        self._parts = parts
        self._batch = batch
        self._lost = lost
        self._pending: list[LineResult] = []
        self._saving: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        """Whether lines are answered faster than the store takes it."""
        return len(self._pending) >= MOST_PENDING

    @property
    def is_saving(self) -> bool:
        """Whether anything is not stored yet."""
        return self._saving is not None

    def add(self, result: LineResult) -> None:
        """Store a result soon."""
        self._pending.append(result)
        if self._saving is None:
            self._saving = asyncio.create_task(self._save())

    async def flush(self) -> None:
        """Wait until all is stored, however long the store takes."""
        while self._saving is not None:
            await asyncio.shield(self._saving)

    async def close(self) -> None:
        """Give up what is not stored yet."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)

    async def _save(self) -> None:
        try:
            while results := self._pending[:MOST_AT_ONCE]:
                del self._pending[:MOST_AT_ONCE]
                if not await self._saved(results):
                    self._pending.clear()
                    self._lost()
        finally:
            self._saving = None

    async def _saved(self, results: list[LineResult]) -> bool:
        """Whether the batch is still this server's."""
        while True:
            try:
                return await self._parts.records.save_results(self._batch, self._parts.runner, results)
            except StoreFailure as failure:
                _LOG.warning("Answers of a batch cannot be stored yet: %s", failure)
                await asyncio.sleep(RETRY_S)


def result_of(line: StoredLine, answer: LineAnswer | None) -> LineResult:
    """What is stored of an answer; None where the batch's input is gone."""
    if answer is None:
        text = failed_line(new_line_id(), line.custom_id, _GONE)
        return LineResult(line.number, text.decode(), is_error=True)
    response = LineResponse(answer.status_code, answer.request_id, msgspec.Raw(answer.body))
    text = answered_line(new_line_id(), line.custom_id, response)
    return LineResult(line.number, text.decode(), is_error=not answer.is_ok, counts=answer.counts)
