"""What is known of batches, in a database: every call is one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import InvalidRequest
from phiserve.store import batch_left, batch_lines, batches, blobs, files, room
from phiserve.store.ahead import RenewedAhead
from phiserve.store.batch_lines import Duplicate, EndedLine, LineResult, StoredLine
from phiserve.store.batches import BatchPage, Change, Stage, StoredBatch
from phiserve.store.connections import Connections
from phiserve.store.file_records import WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.interface import UNENDED, BatchStatus
from phiserve.store.limits import BatchLimits
from phiserve.store.tables import BATCHES

MAX_BATCHES_OF_OWNER = 1000
"""Batches of an owner that have not ended."""

_REMOVED_LINES = 2000
"""Lines removed in one transaction: others' writes go between two."""


class BatchRecords:
    """Batches of owners behind some connections. Every call raises StoreFailure.

    Whoever works on a batch does so as a `runner`, another name each time that it is taken up; what a runner
    says of the batch counts only until another takes over.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._ahead = RenewedAhead(BATCHES, BATCHES.c.status.in_(UNENDED) & BATCHES.c.runner.is_not(None))

    async def create(self, batch: StoredBatch, file_id: str, limits: BatchLimits) -> StoredBatch | None:
        """Store a batch of a file of its owner's; None where that is not there, or not for batches.

        Raises InvalidRequest where the file is too large, by itself or beside the owner's other batches, and
        where the owner's files leave no room for any output.
        """

        async def work(connection: AsyncConnection) -> StoredBatch | None:
            """In the owner's turn, so that two batches do not take the same room."""
            file = await files.load(connection, batch.owner, file_id)
            if file is None or file.purpose != "batch":
                return None
            await _check_room(connection, batch.owner, file.num_bytes, limits)
            await room.check(connection, batch.owner, 0, limits.max_file_bytes_per_owner)
            blob = await blobs.key_of(connection, file.blob)
            return await batches.add(connection, replace(batch, num_bytes=file.num_bytes), blob)

        return await self._connections.write(work, batch.owner)

    async def batch(self, owner: str, batch_id: str) -> StoredBatch | None:
        """A batch."""
        return await self._connections.read(lambda connection: batches.load(connection, owner, batch_id))

    async def page(self, owner: str, after: str | None, limit: int) -> BatchPage | None:
        """A page of an owner's batches, the newest first; None where `after` is none of them."""
        return await self._connections.read(lambda connection: batches.page(connection, owner, after, limit))

    async def change(
        self, owner: str, batch_id: str, make: Change, runner: str | None = None
    ) -> StoredBatch | None:
        """Change a batch as it stands; None where it is not there or, if that is named, not the runner's."""
        return await self._connections.write(
            lambda connection: batches.change(connection, owner, batch_id, make, runner), owner
        )

    async def finish(
        self,
        batch: StoredBatch,
        make: Change,
        outputs: Sequence[tuple[StoredFile, WholeBlob]],
        runner: str,
    ) -> Sequence[str] | None:
        """Change a batch to one that has ended, with its files; contents whose bytes are to be removed.

        The owner's files may be more than usual then: what was answered is given out. None, with nothing
        changed, where the batch is not the runner's any more, or a content was given up.
        """

        async def work(connection: AsyncConnection) -> Sequence[str] | None:
            """All of it or nothing."""
            if await batches.change(connection, batch.owner, batch.id, make, runner) is None:
                return None
            for file, whole in outputs:
                blob = await blobs.keep(connection, whole.name, whole.digest, whole.num_bytes)
                if blob is None:
                    raise _GivenUp
                await files.add(connection, file, blob)
            return await batches.drop_input(connection, batch)

        try:
            return await self._connections.write(work, batch.owner)
        except _GivenUp:
            return None

    async def renew(self, runners: Collection[str]) -> dict[str, BatchStatus]:
        """Say that these are at work. How the batches stand that are still theirs, by their runners."""
        return await self._connections.write(lambda connection: batches.renew(connection, runners))

    async def claim(
        self, runner: str, stage: Stage, models: Sequence[str], busy: Collection[str], older_than_s: int
    ) -> StoredBatch | None:
        """The oldest batch of which this is due, now the runner's. See `batches.claim`."""
        return await self._connections.write(
            lambda connection: batches.claim(connection, runner, stage, models, busy, older_than_s)
        )

    async def of_others(self, models: Sequence[str], older_than_s: int) -> dict[str, int]:
        """How many batches wait for each model that is none of these, and have for so long."""
        return await self._connections.read(
            lambda connection: batches.of_others(connection, models, older_than_s)
        )

    async def let_go_of_ahead(self, older_than_s: int) -> None:
        """Batches whose servers renewed them ahead of this one's clock, and do no more, can be claimed."""
        await self._ahead.let_go(self._connections, older_than_s)

    async def release(self, runner: str) -> None:
        """A runner does not work on its batch any more."""
        await self._connections.write(lambda connection: batches.release(connection, runner))

    async def add_lines(self, batch: StoredBatch, runner: str, lines: Sequence[StoredLine]) -> bool:
        """Store lines of a batch; False where it is not the runner's any more."""

        async def work(connection: AsyncConnection) -> bool:
            """Nobody takes over in between."""
            is_own = await batches.hold(connection, batch.key, runner)
            if is_own:
                await batch_lines.add(connection, batch.key, lines)
            return is_own

        return await self._connections.write(work)

    async def count_lines(self, batch: StoredBatch) -> int:
        """How many lines of a batch are stored."""
        return await self._connections.read(lambda connection: batch_lines.count(connection, batch.key))

    async def duplicates(self, batch: StoredBatch, limit: int) -> Sequence[Duplicate]:
        """Lines with the `custom_id` of an earlier one."""
        return await self._connections.read(
            lambda connection: batch_lines.duplicates(connection, batch.key, limit)
        )

    async def admit(
        self, batch: StoredBatch, make: Change, runner: str, max_lines: int
    ) -> StoredBatch | None:
        """Change a batch to one whose lines are known; None where it is not the runner's any more.

        Raises NoRoomForLines, with nothing changed, where its owner's batches that have not ended would have
        more lines than these.
        """

        async def work(connection: AsyncConnection) -> StoredBatch | None:
            """In the owner's turn, so that two batches do not take the same room."""
            changed = await batches.change(connection, batch.owner, batch.id, make, runner)
            unended = await batches.unended(connection, batch.owner)
            if changed is not None and changed.num_lines and unended.num_lines > max_lines:
                raise NoRoomForLines
            return changed

        return await self._connections.write(work, batch.owner)

    async def unanswered(
        self, batch: StoredBatch, after: tuple[str, int], limit: int
    ) -> Sequence[StoredLine]:
        """Lines that are not answered, in the order in which they are to be; no suspects."""
        return await self._connections.read(
            lambda connection: batch_lines.unanswered(connection, batch.key, after, limit)
        )

    async def suspects(self, batch: StoredBatch, after: tuple[str, int], limit: int) -> Sequence[StoredLine]:
        """Lines that are not answered, and were under way when an engine ended."""
        return await self._connections.read(
            lambda connection: batch_lines.suspects(connection, batch.key, after, limit)
        )

    async def suspect(self, batch: StoredBatch, runner: str, number: int, num_failures: int) -> bool:
        """Store how often that was for a line; False where the batch is not the runner's any more."""
        return await self._connections.write(
            lambda connection: batch_lines.suspect(connection, batch.key, runner, number, num_failures)
        )

    async def set_alone(self, batch: StoredBatch, runner: str, number: int | None) -> bool:
        """Store which line is under way by itself; False where the batch is not the runner's any more."""
        return await self._connections.write(
            lambda connection: batch_left.set_alone(connection, batch.key, runner, number)
        )

    async def save_results(self, batch: StoredBatch, runner: str, results: Sequence[LineResult]) -> bool:
        """Store what lines are answered with; False where the batch is not the runner's any more."""
        return await self._connections.write(
            lambda connection: batch_lines.save(connection, batch.key, runner, results)
        )

    async def ended_lines(
        self, batch: StoredBatch, after: int, limit: int, max_bytes: int
    ) -> Sequence[EndedLine]:
        """Lines and what they are answered with, in their order; one at least, whatever bytes it has."""
        return await self._connections.read(
            lambda connection: batch_lines.ended(connection, batch.key, after, limit, max_bytes)
        )

    async def remove_lines(self, key: int, runner: str | None = None) -> bool:
        """Remove all lines of a batch of the runner's or, without one, of one that has ended.

        False where it is not so any more.
        """

        async def work(connection: AsyncConnection) -> int | None:
            """Some of them; nobody takes over in between."""
            if not await batches.hold(connection, key, runner):
                return None
            return await batch_lines.remove(connection, key, _REMOVED_LINES)

        while removed := await self._connections.write(work):
            pass
        return removed is not None

    async def remove_lines_of_ended(self) -> None:
        """Remove lines of batches that have ended."""
        for key in await self._connections.read(batch_lines.of_ended):
            await self.remove_lines(key)


class NoRoomForLines(Exception):
    """An owner's batches that have not ended would have too many lines; the transaction is undone."""


class _GivenUp(Exception):
    """A content took too long without a sign of life; the transaction is undone."""


async def _check_room(connection: AsyncConnection, owner: str, num_bytes: int, limits: BatchLimits) -> None:
    """Raises InvalidRequest for a file that is too large, by itself or beside the owner's other batches."""
    if num_bytes > limits.max_bytes:
        reason = f"the file has {num_bytes} bytes; a batch's has {limits.max_bytes} at most (batch_max_bytes)"
        raise InvalidRequest(reason, param="input_file_id", code="batch_too_large")
    unended = await batches.unended(connection, owner)
    if unended.num_bytes + num_bytes > limits.max_bytes_per_owner:
        reason = (
            f"batches that have not ended hold {unended.num_bytes} bytes, and the file has {num_bytes}; "
            f"all may have {limits.max_bytes_per_owner} (batch_max_bytes_per_owner): wait, or cancel one"
        )
        raise InvalidRequest(reason, param="input_file_id", code="batch_limit_exceeded")
    if unended.num_batches >= MAX_BATCHES_OF_OWNER:
        reason = f"{unended.num_batches} batches have not ended: wait, or cancel some"
        raise InvalidRequest(reason, param="input_file_id", code="batch_limit_exceeded")
