"""Batches, in transactions that others begin."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, RowMapping, Select, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.core import TokenCounts
from phiserve.store import blobs
from phiserve.store.interface import UNENDED, BatchStatus
from phiserve.store.items import is_possible
from phiserve.store.tables import BATCHES, BLOBS, size


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A batch as it stands.

    `payload`: the batch object's JSON; `request`: JSON of what it takes to answer it elsewhere. `model`: the
    name of the one that answers it. `blob`: the name of its input's content, of `num_bytes`; ""
    once it has ended. `key`: the row's, 0 before it is stored. `num_completed`, `num_failed`: of `num_lines`,
    and `counts`: the tokens that they took.
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

    @property
    def has_ended(self) -> bool:
        """Whether nothing will become of it any more."""
        return self.status not in UNENDED

    @property
    def is_answered(self) -> bool:
        """Whether all its lines are."""
        return self.num_completed + self.num_failed == self.num_lines


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
    """The input of a batch is not needed any more; the names of contents that are dead now."""
    is_it = BATCHES.c.key == batch.key
    blob = await connection.scalar(select(BATCHES.c.blob).where(is_it))
    await connection.execute(update(BATCHES).where(is_it).values(blob=None, runner=None))
    return [] if blob is None else await blobs.release(connection, [blob])


async def renew(connection: AsyncConnection, runner: str, ids: Sequence[str]) -> dict[str, BatchStatus]:
    """Say that a server works on these. How those stand that are still its own."""
    is_own = BATCHES.c.id.in_(ids) & (BATCHES.c.runner == runner) & BATCHES.c.status.in_(UNENDED)
    query = select(BATCHES.c.id, BATCHES.c.status).where(is_own).order_by("key").with_for_update()
    found = {row.id: row.status for row in await connection.execute(query)}
    renewing = update(BATCHES).where(BATCHES.c.id.in_([*found])).values(renewed_at=int(time.time()))
    await connection.execute(renewing)
    return found


async def claim(
    connection: AsyncConnection,
    runner: str,
    models: Sequence[str],
    busy: Collection[str],
    older_than_s: int,
) -> StoredBatch | None:
    """The oldest batch of one of `models` that no server works on any more, now this one's.

    None of the owners in `busy`, of whom this server works on one already.
    """
    is_left = or_(BATCHES.c.runner.is_(None), BATCHES.c.renewed_at < int(time.time()) - older_than_s)
    is_ours = BATCHES.c.model.in_(models) & BATCHES.c.owner.not_in(busy)
    condition = BATCHES.c.status.in_(UNENDED) & is_left & is_ours
    query = select(BATCHES.c.key).where(condition).order_by("key").limit(1).with_for_update(skip_locked=True)
    key = await connection.scalar(query)
    if key is None:
        return None
    values = {"runner": runner, "renewed_at": int(time.time())}
    await connection.execute(update(BATCHES).where(BATCHES.c.key == key).values(values))
    return (await _found(connection, BATCHES.c.key == key))[0]


async def release(connection: AsyncConnection, runner: str, batch_id: str) -> None:
    """A server does not work on a batch any more: another may at once."""
    is_own = (BATCHES.c.id == batch_id) & (BATCHES.c.runner == runner)
    await connection.execute(update(BATCHES).where(is_own).values(runner=None))


async def remove(connection: AsyncConnection, key: int) -> int:
    """Remove a batch that has ended. How many bytes that freed."""
    query = delete(BATCHES).where(BATCHES.c.key == key).returning(BATCHES.c.payload)
    payload = await connection.scalar(query)
    return size(payload)


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
