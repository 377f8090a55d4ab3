"""Answers of a batch on their way into the store: in one transaction those that came during another."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from itertools import accumulate, islice

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

MAX_BYTES_AT_ONCE = 8 * 2**20
"""Characters of these, unless one has more."""

MOST_PENDING = 1000
"""Results that wait to be stored, beyond which no further line should begin."""

MAX_BYTES_PENDING = 32 * 2**20
"""Characters of these."""

RETRY_S = 2.0
"""Seconds until what the store did not take is tried again."""

_GONE = LineFailure("file_not_found", "The batch's input file is gone.")


class ResultSaver:
    """Stores results of one batch. `lost` is called once the batch is another server's."""

    def __init__(self, parts: BatchParts, batch: StoredBatch, lost: Callable[[], object]) -> None:
        self._parts = parts
        self._batch = batch
        self._lost = lost
        self._pending: deque[LineResult] = deque()
        self._num_bytes = 0
        self._most = MOST_AT_ONCE
        """Fewer after the store failed: so many may have been too much for it."""
        self._saving: asyncio.Task[None] | None = None

    @property
    def is_behind(self) -> bool:
        """Whether lines are answered faster than the store takes it."""
        return len(self._pending) >= MOST_PENDING or self._num_bytes >= MAX_BYTES_PENDING

    @property
    def is_saving(self) -> bool:
        """Whether anything is not stored yet."""
        return self._saving is not None

    def add(self, result: LineResult) -> None:
        """Store a result soon."""
        self._pending.append(result)
        self._num_bytes += len(result.result)
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
            while results := self._next():
                try:
                    is_own = await self._parts.records.save_results(self._batch, self._parts.runner, results)
                except StoreFailure as failure:
                    _LOG.warning("Answers of a batch cannot be stored yet: %s", failure)
                    self._most = max(1, len(results) // 2)
                    await asyncio.sleep(RETRY_S)
                    continue
                self._most = min(MOST_AT_ONCE, 2 * self._most)
                self._drop(len(self._pending) if not is_own else len(results))
                if not is_own:
                    self._lost()
        finally:
            self._saving = None

    def _next(self) -> list[LineResult]:
        """Results to store in one transaction: the first that are not too many, nor too large together."""
        some = [*islice(self._pending, self._most)]
        totals = accumulate(len(result.result) for result in some)
        num_within = sum(total <= MAX_BYTES_AT_ONCE for total in totals)
        return some[: max(1, num_within)]

    def _drop(self, number: int) -> None:
        """Forget the first so many results."""
        for _ in range(number):
            self._num_bytes -= len(self._pending.popleft().result)


def result_of(line: StoredLine, answer: LineAnswer | None) -> LineResult:
    """What is stored of an answer; None where the batch's input is gone."""
    if answer is None:
        text = failed_line(new_line_id(), line.custom_id, _GONE)
        return LineResult(line.number, text.decode(), is_error=True)
    response = LineResponse(answer.status_code, answer.request_id, msgspec.Raw(answer.body))
    text = answered_line(new_line_id(), line.custom_id, response)
    return LineResult(line.number, text.decode(), is_error=not answer.is_ok, counts=answer.counts)
