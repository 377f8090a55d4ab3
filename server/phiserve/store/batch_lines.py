"""Lines of batches and what they are answered with, in transactions that others begin."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.core import TokenCounts
from phiserve.store.interface import UNENDED
from phiserve.store.tables import BATCH_LINES, BATCH_SUSPECTS, BATCHES


@dataclass(frozen=True, slots=True)
class StoredLine:
    """Where a line stands in its batch's input.

    `together`: in whose order lines are answered. `num_failures`: how often an engine ended while
    it was under way.
    """

    number: int
    custom_id: str
    offset: int
    num_bytes: int
    together: str
    num_failures: int = 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A line whose `custom_id` the line of number `first` has already."""

    number: int
    custom_id: str
    first: int


@dataclass(frozen=True, slots=True)
class LineResult:
    """What a line is answered with: `result`, the line of an output, or of a file of errors."""

    number: int
    result: str
    is_error: bool
    counts: TokenCounts | None = None


@dataclass(frozen=True, slots=True)
class EndedLine:
    """A line, and what it was answered with; both are None where it was not."""

    number: int
    custom_id: str
    result: str | None
    is_error: bool | None


async def add(connection: AsyncConnection, batch: int, lines: Sequence[StoredLine]) -> None:
    """Insert lines of a batch."""
    rows = [
        {
            "batch": batch,
            "number": line.number,
            "offset": line.offset,
            "bytes": line.num_bytes,
            "custom_id": line.custom_id,
            "together": line.together,
        }
        for line in lines
    ]
    if rows:
        await connection.execute(insert(BATCH_LINES), rows)


async def count(connection: AsyncConnection, batch: int) -> int:
    """How many lines a batch has."""
    query = select(func.count()).select_from(BATCH_LINES).where(BATCH_LINES.c.batch == batch)
    return int(await connection.scalar(query) or 0)


async def duplicates(connection: AsyncConnection, batch: int, limit: int) -> list[Duplicate]:
    """Lines with the `custom_id` of an earlier one, some of them, in their order."""
    columns = BATCH_LINES.c
    first = func.min(columns.number).over(partition_by=columns.custom_id).label("first")
    lines = select(columns.number, columns.custom_id, first).where(columns.batch == batch).subquery()
    query = select(lines).where(lines.c.number > lines.c.first).order_by(lines.c.number).limit(limit)
    return [Duplicate(row.number, row.custom_id, row.first) for row in await connection.execute(query)]


async def unanswered(
    connection: AsyncConnection, batch: int, after: tuple[str, int], limit: int
) -> list[StoredLine]:
    """Lines behind this `together` and number that are not answered, in that order; no suspects."""
    query = _unanswered(batch, after, limit).where(BATCH_SUSPECTS.c.failures.is_(None))
    return [_line(row) for row in await connection.execute(query)]


async def suspects(
    connection: AsyncConnection, batch: int, after: tuple[str, int], limit: int
) -> list[StoredLine]:
    """As `unanswered`, those that were under way when an engine ended."""
    query = _unanswered(batch, after, limit).where(BATCH_SUSPECTS.c.failures.is_not(None))
    return [_line(row) for row in await connection.execute(query)]


async def suspect(
    connection: AsyncConnection, batch: int, runner: str, number: int, num_failures: int
) -> bool:
    """Store how often an engine ended while a line was under way; saying it twice is once.

    False, with nothing changed, where the batch is not the runner's any more, or has ended.
    """
    if not await is_own(connection, batch, runner):
        return False
    await _set_failures(connection, batch, number, literal(num_failures), num_failures)
    return True


async def blame(connection: AsyncConnection, batch: int, number: int) -> None:
    """Count once more that something ended while a line was under way."""
    await _set_failures(connection, batch, number, BATCH_SUSPECTS.c.failures + 1, 1)


async def save(connection: AsyncConnection, batch: int, runner: str, results: Sequence[LineResult]) -> bool:
    """Store what lines are answered with, unless they are already, and count it.

    False, with nothing changed, where the batch is not the runner's any more, or has ended.
    """
    if not await is_own(connection, batch, runner):
        return False
    saved = await _save(connection, batch, results)
    counts = [result.counts for result in saved if result.counts is not None]
    num_failed = sum(result.is_error for result in saved)
    columns = BATCHES.c
    await connection.execute(
        update(BATCHES)
        .where(columns.key == batch)
        .values(
            completed=columns.completed + len(saved) - num_failed,
            failed=columns.failed + num_failed,
            prompt_tokens=columns.prompt_tokens + sum(count.prompt for count in counts),
            cached_tokens=columns.cached_tokens + sum(count.cached for count in counts),
            completion_tokens=columns.completion_tokens + sum(count.completion for count in counts),
        )
    )
    return True


async def is_own(connection: AsyncConnection, batch: int, runner: str) -> bool:
    """Whether a batch is the runner's, and has not ended; it stays so for the transaction."""
    is_so = (BATCHES.c.key == batch) & (BATCHES.c.runner == runner) & BATCHES.c.status.in_(UNENDED)
    return await connection.scalar(select(BATCHES.c.key).where(is_so).with_for_update()) is not None


async def ended(
    connection: AsyncConnection, batch: int, after: int, limit: int, max_bytes: int
) -> list[EndedLine]:
    """Lines behind this number, answered or not, in their order; no more bytes, unless the first has more."""
    condition = (BATCH_LINES.c.batch == batch) & (BATCH_LINES.c.number > after)
    length = func.coalesce(func.length(BATCH_LINES.c.result), 0)
    query = select(BATCH_LINES.c.number, length).where(condition).order_by(BATCH_LINES.c.number).limit(limit)
    sizes = (await connection.execute(query)).all()
    totals = accumulate(length for _, length in sizes)
    shown = [number for (number, _), total in zip(sizes, totals, strict=True) if total <= max_bytes]
    last = max(shown, default=sizes[0].number if sizes else after)
    query = select(BATCH_LINES).where(condition, BATCH_LINES.c.number <= last)
    return [
        EndedLine(row.number, row.custom_id, row.result, row.is_error)
        for row in await connection.execute(query.order_by(BATCH_LINES.c.number))
    ]


async def remove(connection: AsyncConnection, batch: int, limit: int) -> int:
    """Remove some lines of a batch. How many."""
    some = select(BATCH_LINES.c.number).where(BATCH_LINES.c.batch == batch).limit(limit)
    condition = (BATCH_LINES.c.batch == batch) & BATCH_LINES.c.number.in_(some)
    return (await connection.execute(delete(BATCH_LINES).where(condition))).rowcount


async def of_ended(connection: AsyncConnection) -> list[int]:
    """Keys of batches that have ended, and have lines all the same: whoever ended them was killed."""
    query = select(BATCH_LINES.c.batch).distinct().join(BATCHES, BATCHES.c.key == BATCH_LINES.c.batch)
    return [int(key) for key in await connection.scalars(query.where(BATCHES.c.status.not_in(UNENDED)))]


async def _set_failures(
    connection: AsyncConnection, batch: int, number: int, changed: ColumnElement[int], first: int
) -> None:
    """Change how often a line failed; `first` where it was not known to have."""
    columns = BATCH_SUSPECTS.c
    change = update(BATCH_SUSPECTS).where((columns.batch == batch) & (columns.number == number))
    known = await connection.scalar(change.values(failures=changed).returning(columns.failures))
    if known is None:
        values = {"batch": batch, "number": number, "failures": first}
        await connection.execute(insert(BATCH_SUSPECTS).values(values))


def _unanswered(batch: int, after: tuple[str, int], limit: int) -> Select[object]:
    """Lines behind a place that are not answered, in their order, and how often each was under way."""
    lines, suspects = BATCH_LINES.c, BATCH_SUSPECTS.c
    is_it = (suspects.batch == lines.batch) & (suspects.number == lines.number)
    query = select(BATCH_LINES, suspects.failures).join(BATCH_SUSPECTS, is_it, isouter=True)
    place = tuple_(lines.together, lines.number)
    query = query.where((lines.batch == batch) & lines.result.is_(None) & (place > after))
    return query.order_by(lines.together, lines.number).limit(limit)


def _line(row: Row[object]) -> StoredLine:
    return StoredLine(row.number, row.custom_id, row.offset, row.bytes, row.together, row.failures or 0)


async def _save(connection: AsyncConnection, batch: int, results: Sequence[LineResult]) -> list[LineResult]:
    """Store results of lines that have none; those. No other transaction does so for the batch meanwhile."""
    condition = (BATCH_LINES.c.batch == batch) & BATCH_LINES.c.result.is_(None)
    condition &= BATCH_LINES.c.number.in_([result.number for result in results])
    left = {*await connection.scalars(select(BATCH_LINES.c.number).where(condition))}
    saved = [result for result in results if result.number in left]
    if saved:
        is_it = (BATCH_LINES.c.batch == batch) & (BATCH_LINES.c.number == bindparam("of"))
        change = update(BATCH_LINES).where(is_it)
        change = change.values(result=bindparam("text"), is_error=bindparam("failed"))
        rows = [{"of": one.number, "text": one.result, "failed": one.is_error} for one in saved]
        await connection.execute(change, rows)
    return saved
