"""Contents of files: what of them is there, and what is to be removed, in transactions that others begin.

A content is `written` from before its first byte is kept anywhere, `kept` once something refers to it, `dead`
when nothing does any more; its bytes are removed before its row is. So whatever is killed at whatever moment
leaves a row that says what to remove. A name is never used again.
"""

import time
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store.connections import wait_for_turn
from phiserve.store.tables import BATCHES, BLOBS, FILES, RECEIVING, UPLOAD_PARTS

Status = Literal["written", "kept", "dead"]

WRITTEN: Status = "written"
_KEPT: Status = "kept"
_DEAD: Status = "dead"


async def begin(connection: AsyncConnection, name: str) -> None:
    """A content is about to be written."""
    values = {"name": name, "status": WRITTEN, "renewed_at": int(time.time()), "bytes": 0}
    await connection.execute(insert(BLOBS).values(values))


async def renew(connection: AsyncConnection, names: Sequence[str]) -> None:
    """Contents that are still being written."""
    change = update(BLOBS).where(BLOBS.c.name.in_(names), BLOBS.c.status == WRITTEN)
    await connection.execute(change.values(renewed_at=int(time.time())))


async def keep(connection: AsyncConnection, name: str, digest: str, num_bytes: int) -> int | None:
    """The key of a whole content, to be referred to in this transaction.

    It is an equal one's that is kept already, if there is one; the new one is dead then. None where the new
    one was given up meanwhile.
    """
    await wait_for_turn(connection, f"blob {digest}")
    row = BLOBS.c
    is_new = (row.name == name) & (row.status == WRITTEN)
    new = await connection.scalar(select(row.key).where(is_new).with_for_update())
    if new is None:
        return None
    is_equal = (row.digest == digest) & (row.bytes == num_bytes) & (row.status == _KEPT)
    equal = await connection.scalar(select(row.key).where(is_equal).limit(1).with_for_update())
    values = {"digest": digest, "bytes": num_bytes, "status": _KEPT if equal is None else _DEAD}
    await connection.execute(update(BLOBS).where(row.key == new).values(values))
    await connection.execute(delete(RECEIVING).where(RECEIVING.c.blob == new))
    return int(new if equal is None else equal)


async def key_of(connection: AsyncConnection, name: str) -> int:
    """The key of a content that something refers to."""
    return int((await connection.scalars(select(BLOBS.c.key).where(BLOBS.c.name == name))).one())


async def release(connection: AsyncConnection, keys: Sequence[int]) -> list[str]:
    """Contents that fewer refer to than before. The names of those that are dead now."""
    dead: list[str] = []
    for key in sorted({*keys}):
        name = await connection.scalar(select(BLOBS.c.name).where(BLOBS.c.key == key).with_for_update())
        if name is not None and not await _is_referred_to(connection, key):
            await connection.execute(update(BLOBS).where(BLOBS.c.key == key).values(status=_DEAD))
            dead.append(str(name))
    return dead


async def give_up(connection: AsyncConnection, name: str) -> bool:
    """A content is not wanted. Whether its bytes are to be removed: not where something refers to it."""
    change = update(BLOBS).where(BLOBS.c.name == name, BLOBS.c.status == WRITTEN).values(status=_DEAD)
    await connection.execute(change)
    return await connection.scalar(select(BLOBS.c.status).where(BLOBS.c.name == name)) != _KEPT


async def give_up_stale(connection: AsyncConnection, older_than_s: int) -> None:
    """Contents that nobody has renewed lately: whoever wrote them is gone."""
    is_stale = (BLOBS.c.status == WRITTEN) & (BLOBS.c.renewed_at <= int(time.time()) - older_than_s)
    await connection.execute(update(BLOBS).where(is_stale).values(status=_DEAD))


async def dead(connection: AsyncConnection, after: str, limit: int) -> list[str]:
    """Names of contents whose bytes are to be removed, in their order."""
    query = select(BLOBS.c.name).where(BLOBS.c.status == _DEAD, BLOBS.c.name > after)
    return [str(name) for name in await connection.scalars(query.order_by(BLOBS.c.name).limit(limit))]


async def forget(connection: AsyncConnection, name: str) -> None:
    """A dead content's bytes are removed."""
    await connection.execute(delete(BLOBS).where(BLOBS.c.name == name, BLOBS.c.status == _DEAD))


async def _is_referred_to(connection: AsyncConnection, key: int) -> bool:
    for column in (FILES.c.blob, UPLOAD_PARTS.c.blob, BATCHES.c.blob):
        if await connection.scalar(select(column).where(column == key).limit(1)) is not None:
            return True
    return False
