"""How much of files an owner has, and has room for, in transactions that others begin.

What is being received takes room from its beginning, so that many at once do not get what is there for one.
"""

from sqlalchemy import ColumnElement, case, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import InvalidRequest
from phiserve.store.blobs import WRITTEN
from phiserve.store.tables import BLOBS, FILES, RECEIVING, UPLOAD_PARTS, UPLOADS

LEAST_BYTES = 4096
"""What a file counts for at least, as on a disk, and so do a part and an upload: empty ones are not free."""


def counted(num_bytes: int) -> int:
    """What a file of so many bytes counts for."""
    return max(num_bytes, LEAST_BYTES)


async def used_bytes(connection: AsyncConnection, owner: str, besides: str = "") -> int:
    """What an owner's files, uploads and their parts count for, and what is kept for those being received.

    `besides`: the name of a content being received that is left out.
    """
    of_files = select(_counted(FILES.c.bytes)).where(FILES.c.owner == owner)
    of_parts = select(_counted(UPLOAD_PARTS.c.bytes)).join(UPLOADS, UPLOADS.c.key == UPLOAD_PARTS.c.upload)
    of_uploads = select(func.count() * LEAST_BYTES).select_from(UPLOADS).where(UPLOADS.c.owner == owner)
    received = select(func.coalesce(func.sum(RECEIVING.c.bytes), 0))
    received = received.join(BLOBS, BLOBS.c.key == RECEIVING.c.blob)
    received = received.where(RECEIVING.c.owner == owner, BLOBS.c.status == WRITTEN, BLOBS.c.name != besides)
    sums = (of_files, of_parts.where(UPLOADS.c.owner == owner), of_uploads, received)
    return sum([int(await connection.scalar(query) or 0) for query in sums])


async def parts_bytes(connection: AsyncConnection, upload_id: str) -> int:
    """What the parts of an upload count for."""
    query = select(_counted(UPLOAD_PARTS.c.bytes)).join(UPLOADS, UPLOADS.c.key == UPLOAD_PARTS.c.upload)
    return int(await connection.scalar(query.where(UPLOADS.c.id == upload_id)) or 0)


async def check(
    connection: AsyncConnection, owner: str, num_bytes: int, max_bytes: int, besides: str = ""
) -> int:
    """The bytes that are free. Raises InvalidRequest where an owner has no room for so many more."""
    used = await used_bytes(connection, owner, besides)
    if used + counted(num_bytes) > max_bytes:
        wanted = f" for {num_bytes} bytes" if num_bytes else ""
        reason = (
            f"no room is left{wanted}: {used} of {max_bytes} (files_max_bytes_per_owner) are used, or being "
            "received; delete files, or let them expire"
        )
        raise InvalidRequest(reason, code="file_quota_exceeded")
    return max_bytes - used


async def hold(
    connection: AsyncConnection, owner: str, name: str, least: int, wanted: int, max_bytes: int
) -> int:
    """Keep room for a content being received: `wanted` bytes, or `least` or more where these are not free.

    Those that are kept for it from now on. Raises InvalidRequest.
    """
    kept = min(wanted, await check(connection, owner, least, max_bytes, name))
    blob = await connection.scalar(select(BLOBS.c.key).where(BLOBS.c.name == name))
    if blob is not None:  # or another server has given it up, and whoever receives it is told at its end
        await connection.execute(delete(RECEIVING).where(RECEIVING.c.blob == blob))
        await connection.execute(insert(RECEIVING).values(blob=blob, owner=owner, bytes=kept))
    return kept


def _counted(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((column < LEAST_BYTES, LEAST_BYTES), else_=column)), 0)
