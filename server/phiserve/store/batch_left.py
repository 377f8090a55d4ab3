"""How often batches were left by servers that were killed over them, in transactions that others begin."""

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store import batch_lines
from phiserve.store.tables import BATCHES_LEFT

_ROW = BATCHES_LEFT.c


async def taken_up(connection: AsyncConnection, batch: int, num_answered: int, *, was_left: bool) -> int:
    """Count that a server answers a batch from now on; `was_left`: the one before went without a word.

    How often that was since a line was answered last. If a line was under way by itself then, it has failed
    once more.
    """
    known = (await connection.execute(select(BATCHES_LEFT).where(_ROW.batch == batch))).one_or_none()
    if known is None and not was_left:
        return 0
    times = known.times if known is not None and known.answered == num_answered else 0
    if was_left:
        times += 1
        if known is not None and known.alone is not None:
            await batch_lines.blame(connection, batch, known.alone)
    await _set(connection, batch, times=times, answered=num_answered, alone=None)
    return times


async def set_alone(connection: AsyncConnection, batch: int, runner: str, number: int | None) -> bool:
    """Store which line is under way by itself; None for none.

    False, with nothing changed, where the batch is not the runner's any more, or has ended.
    """
    if not await batch_lines.is_own(connection, batch, runner):
        return False
    await _set(connection, batch, alone=number)
    return True


async def _set(connection: AsyncConnection, batch: int, **values: int | None) -> None:
    change = update(BATCHES_LEFT).where(_ROW.batch == batch).values(**values).returning(_ROW.batch)
    if await connection.scalar(change) is None:
        new = {"batch": batch, "times": 0, "answered": 0, **values}
        await connection.execute(insert(BATCHES_LEFT).values(new))
