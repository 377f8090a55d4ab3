"""Batches of files in a store that is open for as long as a test takes, and who works on them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from sqlalchemy import Update

from phiserve.store.batch_lines import StoredLine
from phiserve.store.batch_records import BatchRecords
from phiserve.store.batches import StoredBatch
from phiserve.store.file_records import WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.limits import BatchLimits, StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.sql_store import SqlStore
from stored import NOW

MOST = 10**9
LIMITS = BatchLimits(max_bytes=100, max_bytes_per_owner=150)
BATCH = StoredBatch("batch_1", "", NOW, NOW + 86_400, "validating", "{}", '{"a":1}', model="m")


def on_store(url: str, use: Callable[[SqlStore, BatchRecords], Awaitable[None]]) -> None:
    """Use a new database."""

    async def run() -> None:
        store = open_store(url, StoreLimits())
        assert store is not None
        try:
            await use(store, store.batches)
        finally:
            await store.close()

    asyncio.run(run())


async def batch(
    store: SqlStore, batch_id: str = "batch_1", owner: str = "", num_bytes: int = 60, **changes: object
) -> StoredBatch:
    """A new batch of a new file of an owner."""
    file_id = f"file of {batch_id}"
    file = StoredFile(file_id, owner, NOW, None, "batch", "a", "", num_bytes)
    await store.files.begin_blob(file_id)
    await store.files.add_file(file, WholeBlob(file_id, f"digest of {file_id}", num_bytes), MOST)
    new = replace(BATCH, id=batch_id, owner=owner, **changes)  # type: ignore[arg-type]
    stored = await store.batches.create(new, file_id, LIMITS)
    assert stored is not None
    return stored


async def claimed(store: SqlStore, runner: str = "r", older_than_s: int = 60) -> StoredBatch:
    """The batch that a server takes."""
    found = await store.batches.claim(runner, "validating", ["m"], (), older_than_s)
    assert found is not None
    return found


def line(number: int, together: str = "", custom_id: str = "") -> StoredLine:
    """A line of a batch."""
    return StoredLine(number, custom_id or f"id {number}", number * 10, 9, together)


async def changed(store: SqlStore, change: Update) -> None:
    """Change rows."""
    await store._connections.write(lambda connection: connection.execute(change))
