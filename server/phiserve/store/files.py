"""Files, in transactions that others begin."""

import time
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, RowMapping, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store import blobs, removed
from phiserve.store.interface import Order
from phiserve.store.items import is_possible
from phiserve.store.tables import BLOBS, FILES

_MOST_VALUES = 500
"""Of one statement; databases bound them."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file. `blob`: the name of its content, "" before it is stored. `expires_at`: None for never."""

    id: str
    owner: str
    created_at: int
    expires_at: int | None
    purpose: str
    filename: str
    content_type: str
    num_bytes: int
    blob: str = ""


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files in the order asked for; `has_more`: whether others follow."""

    files: tuple[StoredFile, ...]
    has_more: bool


async def add(connection: AsyncConnection, file: StoredFile, blob: int) -> None:
    """Insert a file with a content that is kept."""
    values = {
        "id": file.id,
        "owner": file.owner,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "purpose": file.purpose,
        "filename": file.filename,
        "content_type": file.content_type,
        "bytes": file.num_bytes,
        "blob": blob,
    }
    await connection.execute(insert(FILES).values(values))


async def load(connection: AsyncConnection, owner: str, file_id: str) -> StoredFile | None:
    """A file that has not expired."""
    if not is_possible(file_id):
        return None
    condition = (FILES.c.id == file_id) & (FILES.c.owner == owner) & _is_valid()
    query = select(FILES, BLOBS.c.name).join(BLOBS, BLOBS.c.key == FILES.c.blob).where(condition)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _file(row)


async def present(connection: AsyncConnection, owner: str, ids: Collection[str]) -> set[str]:
    """Which of these are an owner's files that have not expired."""
    found, possible = set[str](), [file_id for file_id in ids if is_possible(file_id)]
    for start in range(0, len(possible), _MOST_VALUES):
        some = FILES.c.id.in_(possible[start : start + _MOST_VALUES])
        query = select(FILES.c.id).where((FILES.c.owner == owner) & some & _is_valid())
        found.update(await connection.scalars(query))
    return found


async def page(
    connection: AsyncConnection, owner: str, purpose: str | None, after: str | None, limit: int, order: Order
) -> FilePage | None:
    """A page of an owner's files, by when they were made; None where `after` is no file of theirs.

    It may have been removed within a day.
    """
    condition = (FILES.c.owner == owner) & _is_valid()
    if purpose is not None and not is_possible(purpose):
        return FilePage((), has_more=False)
    if purpose is not None:
        condition &= FILES.c.purpose == purpose
    if after is not None:
        comes_after = await _after(connection, owner, after, order)
        if comes_after is None:
            return None
        condition &= comes_after
    query = select(FILES, BLOBS.c.name).join(BLOBS, BLOBS.c.key == FILES.c.blob).where(condition)
    query = query.order_by(FILES.c.key if order == "asc" else FILES.c.key.desc()).limit(limit + 1)
    rows = (await connection.execute(query)).mappings().all()
    return FilePage(tuple(map(_file, rows[:limit])), has_more=len(rows) > limit)


async def _after(
    connection: AsyncConnection, owner: str, file_id: str, order: Order
) -> ColumnElement[bool] | None:
    """What comes after a file, which may have been removed; None where there was none."""
    if not is_possible(file_id):
        return None
    is_it = (FILES.c.id == file_id) & (FILES.c.owner == owner)
    key = await connection.scalar(select(FILES.c.key).where(is_it))
    if key is None:
        return await removed.after(connection, removed.files_of(owner), file_id, FILES.c.key, order)
    behind: ColumnElement[bool] = FILES.c.key > key if order == "asc" else FILES.c.key < key
    return behind


async def remove(connection: AsyncConnection, owner: str, file_id: str) -> list[str] | None:
    """Remove a file; names of contents that are dead now. None where it was not there."""
    if not is_possible(file_id):
        return None
    is_it = (FILES.c.id == file_id) & (FILES.c.owner == owner) & _is_valid()
    return await _remove(connection, is_it)


async def remove_expired(connection: AsyncConnection, limit: int) -> list[str] | None:
    """Remove some files whose time is over; names of contents that are dead now.

    None where there was nothing to remove.
    """
    is_over = FILES.c.expires_at <= int(time.time())
    keys = [*await connection.scalars(select(FILES.c.key).where(is_over).order_by("key").limit(limit))]
    return await _remove(connection, FILES.c.key.in_(keys)) if keys else None


async def _remove(connection: AsyncConnection, condition: ColumnElement[bool]) -> list[str] | None:
    """Remove files; names of contents that are dead now, None where there was no such file."""
    query = delete(FILES).where(condition).returning(FILES.c.owner, FILES.c.id, FILES.c.key, FILES.c.blob)
    rows = (await connection.execute(query)).all()
    for owner in {row.owner for row in rows}:
        places = {row.id: row.key for row in rows if row.owner == owner}
        await removed.remember(connection, removed.files_of(owner), places)
    return await blobs.release(connection, [row.blob for row in rows]) if rows else None


def _is_valid() -> ColumnElement[bool]:
    return FILES.c.expires_at.is_(None) | (FILES.c.expires_at > int(time.time()))


def _file(row: RowMapping) -> StoredFile:
    return StoredFile(
        id=row["id"],
        owner=row["owner"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        purpose=row["purpose"],
        filename=row["filename"],
        content_type=row["content_type"],
        num_bytes=row["bytes"],
        blob=row["name"],
    )
