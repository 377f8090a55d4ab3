"""Batches, what is due of each and who works on it, in transactions that others begin."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlalchemy import ColumnElement, RowMapping, Select, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.core import TokenCounts
from phiserve.store import batch_left, blobs
from phiserve.store.interface import UNENDED, BatchStatus
from phiserve.store.items import is_possible
from phiserve.store.tables import BATCHES, BLOBS, size


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as it stands.

    `payload`: the batch object's JSON; `request`: JSON of what it takes to answer it elsewhere. `model`: the
    name of the one that answers it. `blob`: the name of its input's content, of `num_bytes`; ""
    once it has ended. `key`: the row's, 0 before it is stored. `num_completed`, `num_failed`: of `num_lines`,
    and `counts`: the tokens that they took. `num_left`: how many servers were killed, or held up too long,
    while they answered it, since a line was answered last; known of one that is claimed for that.
    """

    id: str
    owner: str
    created_at: int
    expires_at: int
    status: BatchStatus
    request: str
    payload: str
    num_bytes: int = 0
    model: str = ""
    blob: str = ""
    key: int = 0
    num_lines: int = 0
    num_completed: int = 0
    num_failed: int = 0
    counts: TokenCounts = field(default_factory=lambda: TokenCounts(0, 0, 0, 0))
    num_left: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing will become of it any more."""
        return self.status not in UNENDED

    @property
    def is_answered(self) -> bool:
        """Whether all its lines are; not before it is validated."""
        return 0 < self.num_lines == self.num_completed + self.num_failed


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some batches, the newest first; `has_more`: whether others follow."""

    batches: tuple[StoredBatch, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Unended:
    """An owner's batches that have not ended: how many, and all their lines and bytes."""

    num_batches: int
    num_lines: int
    num_bytes: int


Change = Callable[[StoredBatch], StoredBatch]
"""What becomes of a batch; it may raise, which changes nothing."""

Stage = Literal["ending", "validating", "in_progress"]
"""What is due: to validate a batch, to answer it, or to end it: it is cancelled, answered or out of time."""


async def add(connection: AsyncConnection, batch: StoredBatch, blob: int) -> StoredBatch:
    """Insert a batch, whose input's content has this key; nobody works on it yet."""
    counts = {"lines": 0, "completed": 0, "failed": 0}
    tokens = {"prompt_tokens": 0, "cached_tokens": 0, "completion_tokens": 0}
    values = {
        "id": batch.id,
        "owner": batch.owner,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        "renewed_at": int(time.time()),
        "blob": blob,
        "bytes": batch.num_bytes,
        **_changing(batch),
    }
    await connection.execute(insert(BATCHES).values({**counts, **tokens, **values}))
    return (await _found(connection, BATCHES.c.id == batch.id))[0]


async def load(connection: AsyncConnection, owner: str, batch_id: str) -> StoredBatch | None:
    """A batch."""
    if not is_possible(batch_id):
        return None
    found = await _found(connection, (BATCHES.c.id == batch_id) & (BATCHES.c.owner == owner))
    return found[0] if found else None


async def page(connection: AsyncConnection, owner: str, after: str | None, limit: int) -> BatchPage | None:
    """A page of an owner's batches, the newest first; None where `after` is none of them."""
    condition = BATCHES.c.owner == owner
    if after is not None:
        is_it = condition & (BATCHES.c.id == after)
        key = await connection.scalar(select(BATCHES.c.key).where(is_it)) if is_possible(after) else None
        if key is None:
            return None
        condition &= BATCHES.c.key < key
    query = _query(condition).order_by(BATCHES.c.key.desc()).limit(limit + 1)
    found = [_batch(row) for row in (await connection.execute(query)).mappings()]
    return BatchPage(tuple(found[:limit]), has_more=len(found) > limit)


async def unended(connection: AsyncConnection, owner: str) -> Unended:
    """How much an owner has that has not ended."""
    sums = (func.coalesce(func.sum(column), 0) for column in (BATCHES.c.lines, BATCHES.c.bytes))
    condition = (BATCHES.c.owner == owner) & BATCHES.c.status.in_(UNENDED)
    row = (await connection.execute(select(func.count(), *sums).where(condition))).one()
    return Unended(*map(int, row))


async def change(
    connection: AsyncConnection, owner: str, batch_id: str, make: Change, runner: str | None = None
) -> StoredBatch | None:
    """Change a batch as it stands. None, with nothing changed, where it is not there, or not the runner's."""
    if not is_possible(batch_id):
        return None
    is_it = (BATCHES.c.id == batch_id) & (BATCHES.c.owner == owner)
    if runner is not None:
        is_it &= (BATCHES.c.runner == runner) & BATCHES.c.status.in_(UNENDED)
    if await connection.scalar(select(BATCHES.c.key).where(is_it).with_for_update()) is None:
        return None
    (before,) = await _found(connection, is_it)
    after = make(before)
    await connection.execute(update(BATCHES).where(is_it).values(_changing(after)))
    return after


async def drop_input(connection: AsyncConnection, batch: StoredBatch) -> Sequence[str]:
    """A batch has ended: its input is not needed any more; the names of contents that are dead now."""
    is_it = BATCHES.c.key == batch.key
    blob = await connection.scalar(select(BATCHES.c.blob).where(is_it))
    values = {"blob": None, "runner": None, "renewed_at": int(time.time())}
    await connection.execute(update(BATCHES).where(is_it).values(values))
    return [] if blob is None else await blobs.release(connection, [blob])


async def hold(connection: AsyncConnection, key: int, runner: str | None) -> bool:
    """Whether a batch is the runner's or, where that is None, has ended; it stays so in this transaction."""
    is_unended = BATCHES.c.status.in_(UNENDED)
    is_so = ~is_unended if runner is None else (BATCHES.c.runner == runner) & is_unended
    query = select(BATCHES.c.key).where((BATCHES.c.key == key) & is_so).with_for_update()
    return await connection.scalar(query) is not None


async def renew(connection: AsyncConnection, runners: Collection[str]) -> dict[str, BatchStatus]:
    """Say that these are at work. How the batches stand that are still theirs, by their runners."""
    is_own = BATCHES.c.runner.in_(runners) & BATCHES.c.status.in_(UNENDED)
    query = select(BATCHES.c.key, BATCHES.c.runner, BATCHES.c.status).where(is_own)
    found = (await connection.execute(query.order_by("key").with_for_update())).all()
    is_found = BATCHES.c.key.in_([row.key for row in found])
    await connection.execute(update(BATCHES).where(is_found).values(renewed_at=int(time.time())))
    return {row.runner: row.status for row in found}


async def claim(
    connection: AsyncConnection,
    runner: str,
    stage: Stage,
    models: Sequence[str],
    busy: Collection[str],
    older_than_s: int,
) -> StoredBatch | None:
    """The oldest batch of which this is due and that no server works on any more, now the runner's.

    None of the owners in `busy`. Batches of other models than these are only ended. There, the oldest is the
    one that was left alone for longest, so that one that cannot be ended holds up no other.
    """
    now = int(time.time())
    is_left = or_(BATCHES.c.runner.is_(None), BATCHES.c.renewed_at < now - older_than_s)
    is_ours = is_left & BATCHES.c.owner.not_in(busy) & _is_due(stage, models, now)
    condition = BATCHES.c.status.in_(UNENDED) & is_ours
    order = ("renewed_at", "key") if stage == "ending" else ("key",)
    query = select(BATCHES.c.key, BATCHES.c.runner).where(condition).order_by(*order).limit(1)
    row = (await connection.execute(query.with_for_update(skip_locked=True))).one_or_none()
    if row is None:
        return None
    is_it, values = BATCHES.c.key == row.key, {"runner": runner, "renewed_at": now}
    await connection.execute(update(BATCHES).where(is_it).values(values))
    (found,) = await _found(connection, is_it)
    if stage != "in_progress":
        return found
    num_answered, was_left = found.num_completed + found.num_failed, row.runner is not None
    times = await batch_left.taken_up(connection, found.key, num_answered, was_left=was_left)
    return replace(found, num_left=times)


async def release(connection: AsyncConnection, runner: str) -> None:
    """A runner does not work on its batch any more: another may at once."""
    is_own = (BATCHES.c.runner == runner) & BATCHES.c.status.in_(UNENDED)
    await connection.execute(update(BATCHES).where(is_own).values(runner=None))


async def of_others(connection: AsyncConnection, models: Sequence[str], older_than_s: int) -> dict[str, int]:
    """How many batches wait for each model that is none of these, and have for so long."""
    now = int(time.time())
    waits = BATCHES.c.status.in_(("validating", "in_progress")) & (BATCHES.c.expires_at > now)
    waits &= BATCHES.c.runner.is_(None) & (BATCHES.c.renewed_at <= now - older_than_s)
    query = select(BATCHES.c.model, func.count()).where(waits, BATCHES.c.model.not_in(models))
    return {model: int(number) for model, number in await connection.execute(query.group_by("model"))}


async def remove(connection: AsyncConnection, key: int) -> int:
    """Remove a batch that has ended. How many bytes that freed."""
    query = delete(BATCHES).where(BATCHES.c.key == key).returning(BATCHES.c.payload)
    payload = await connection.scalar(query)
    return size(payload)


def _is_due(stage: Stage, models: Sequence[str], now: int) -> ColumnElement[bool]:
    is_over = BATCHES.c.status.in_(("cancelling", "finalizing")) | (BATCHES.c.expires_at <= now)
    if stage == "ending":
        return is_over
    return (BATCHES.c.status == stage) & ~is_over & BATCHES.c.model.in_(models)


def _changing(batch: StoredBatch) -> dict[str, str | int]:
    return {
        "status": batch.status,
        "model": batch.model,
        "lines": batch.num_lines,
        "request": batch.request,
        "payload": batch.payload,
    }


def _query(condition: ColumnElement[bool]) -> Select[object]:
    joined = select(BATCHES, BLOBS.c.name).join(BLOBS, BLOBS.c.key == BATCHES.c.blob, isouter=True)
    return joined.where(condition)


async def _found(connection: AsyncConnection, condition: ColumnElement[bool]) -> list[StoredBatch]:
    return [_batch(row) for row in (await connection.execute(_query(condition))).mappings()]


def _batch(row: RowMapping) -> StoredBatch:
    return StoredBatch(
        id=row["id"],
        owner=row["owner"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        status=row["status"],
        request=row["request"],
        payload=row["payload"],
        num_bytes=row["bytes"],
        model=row["model"],
        blob=row["name"] or "",
        key=row["key"],
        num_lines=row["lines"],
        num_completed=row["completed"],
        num_failed=row["failed"],
        counts=TokenCounts(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"], 0),
    )
