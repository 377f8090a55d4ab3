"""Uploads, files that come in parts, in transactions that others begin."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import InvalidRequest
from phiserve.store import blobs
from phiserve.store.items import is_possible
from phiserve.store.limits import DAY_S, MAX_PARTS
from phiserve.store.tables import BLOBS, UPLOAD_PARTS, UPLOADS

UploadStatus = Literal["pending", "completed", "cancelled", "expired"]

GRACE_S = 3600
"""Seconds after its end for which the parts of an expired upload stay: it may be being completed."""


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload. `num_bytes`: of all its parts together. `file`: the id of the file that became of it.

    `file_expires_after_s`: seconds for which that file is to be kept, None where nothing was said.
    """

    id: str
    owner: str
    created_at: int
    expires_at: int
    status: UploadStatus
    purpose: str
    filename: str
    content_type: str
    num_bytes: int
    file_expires_after_s: int | None = None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of an upload. `blob`: the name of its content."""

    id: str
    num_bytes: int
    blob: str


async def create(connection: AsyncConnection, upload: StoredUpload) -> None:
    """Insert an upload."""
    values = {
        "id": upload.id,
        "owner": upload.owner,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "status": upload.status,
        "purpose": upload.purpose,
        "filename": upload.filename,
        "content_type": upload.content_type,
        "bytes": upload.num_bytes,
        "file_expires_after_s": upload.file_expires_after_s,
    }
    await connection.execute(insert(UPLOADS).values(values))


async def load(connection: AsyncConnection, owner: str, upload_id: str) -> StoredUpload | None:
    """An upload, `expired` where it is too late to go on with it."""
    if not is_possible(upload_id):
        return None
    query = select(UPLOADS).where(UPLOADS.c.id == upload_id, UPLOADS.c.owner == owner)
    row = (await connection.execute(query)).mappings().one_or_none()
    return None if row is None else _upload(row)


async def pending(connection: AsyncConnection, owner: str, upload_id: str) -> StoredUpload | None:
    """An upload that can go on; None where there is none. Raises InvalidRequest where it has ended."""
    upload = await load(connection, owner, upload_id)
    if upload is not None and upload.status != "pending":
        raise has_ended(upload)
    return upload


def has_ended(upload: StoredUpload) -> InvalidRequest:
    """The error for going on with an upload that has ended."""
    return InvalidRequest(f"the upload is {upload.status}", param="upload_id")


async def check_part(connection: AsyncConnection, upload: StoredUpload, num_bytes: int) -> None:
    """Raises InvalidRequest where one more part of so many bytes would be too much."""
    query = select(func.count(), func.coalesce(func.sum(UPLOAD_PARTS.c.bytes), 0))
    joined = query.select_from(UPLOAD_PARTS).join(UPLOADS, UPLOADS.c.key == UPLOAD_PARTS.c.upload)
    num_parts, used = (await connection.execute(joined.where(UPLOADS.c.id == upload.id))).one()
    if num_parts >= MAX_PARTS:
        raise InvalidRequest(f"an upload has at most {MAX_PARTS} parts", param="data")
    if used + num_bytes > 2 * upload.num_bytes:
        reason = f"the parts have more bytes than the upload was begun for ({upload.num_bytes})"
        raise InvalidRequest(reason, param="data")


async def add_part(
    connection: AsyncConnection, upload_id: str, part_id: str, blob: int, num_bytes: int
) -> None:
    """Insert a part with a content that is kept."""
    values = {
        "id": part_id,
        "upload": select(UPLOADS.c.key).where(UPLOADS.c.id == upload_id).scalar_subquery(),
        "created_at": int(time.time()),
        "bytes": num_bytes,
        "blob": blob,
    }
    await connection.execute(insert(UPLOAD_PARTS).values(values))


async def parts(connection: AsyncConnection, upload_id: str) -> dict[str, StoredPart]:
    """All parts of an upload, by their ids."""
    query = select(UPLOAD_PARTS.c.id, UPLOAD_PARTS.c.bytes, BLOBS.c.name)
    query = query.join(UPLOADS, UPLOADS.c.key == UPLOAD_PARTS.c.upload)
    query = query.join(BLOBS, BLOBS.c.key == UPLOAD_PARTS.c.blob).where(UPLOADS.c.id == upload_id)
    return {row.id: StoredPart(row.id, row.bytes, row.name) for row in await connection.execute(query)}


async def end(
    connection: AsyncConnection, upload_id: str, status: UploadStatus, file_id: str | None = None
) -> list[str]:
    """End an upload, without its parts. The names of contents that are dead now."""
    is_it = UPLOADS.c.id == upload_id
    await connection.execute(update(UPLOADS).where(is_it).values(status=status, file=file_id))
    keys = [*await connection.scalars(select(UPLOADS.c.key).where(is_it))]
    return await _remove_parts(connection, keys)


async def remove_expired(connection: AsyncConnection, limit: int) -> list[str] | None:
    """Remove some parts of uploads whose time is over, and what a day ago ended or expired.

    The names of contents that are dead now. None where there was nothing to remove.
    """
    now = int(time.time())
    has_parts = select(UPLOAD_PARTS.c.key).where(UPLOAD_PARTS.c.upload == UPLOADS.c.key).exists()
    is_over = (UPLOADS.c.expires_at <= now - DAY_S) | ((UPLOADS.c.expires_at <= now - GRACE_S) & has_parts)
    query = select(UPLOADS.c.key).where(is_over).order_by("key").limit(limit).with_for_update()
    keys = [*await connection.scalars(query)]
    if not keys:
        return None
    dead = await _remove_parts(connection, keys)
    is_old = UPLOADS.c.key.in_(keys) & (UPLOADS.c.expires_at <= now - DAY_S)
    await connection.execute(delete(UPLOADS).where(is_old))
    return dead


async def _remove_parts(connection: AsyncConnection, uploads: Sequence[int]) -> list[str]:
    removed = delete(UPLOAD_PARTS).where(UPLOAD_PARTS.c.upload.in_(uploads)).returning(UPLOAD_PARTS.c.blob)
    return await blobs.release(connection, [*await connection.scalars(removed)])


def _upload(row: RowMapping) -> StoredUpload:
    is_late = row["status"] == "pending" and row["expires_at"] <= int(time.time())
    return StoredUpload(
        id=row["id"],
        owner=row["owner"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        status="expired" if is_late else row["status"],
        purpose=row["purpose"],
        filename=row["filename"],
        content_type=row["content_type"],
        num_bytes=row["bytes"],
        file_expires_after_s=row["file_expires_after_s"],
        file=row["file"],
    )
