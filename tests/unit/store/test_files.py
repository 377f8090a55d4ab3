"""Files in transactions of others: what an owner's count for."""

import asyncio

from phiserve.store import files
from phiserve.store.connections import Connections
from phiserve.store.file_records import FileRecords
from phiserve.store.files import LEAST_BYTES
from phiserve.store.location import locate
from phiserve.store.schema import prepare
from unit.store.test_file_records import MOST, UPLOAD, file_named, written


def test_used_bytes(state_url: str) -> None:
    """Files and parts of uploads, small ones as what they take, those of others not at all."""
    location = locate(state_url)
    assert location is not None
    prepare(location)

    async def run() -> None:
        connections = Connections(location)
        records = FileRecords(connections)

        async def used(owner: str) -> int:
            return await connections.read(lambda connection: files.used_bytes(connection, owner))

        assert await used("") == 0
        await records.add_file(file_named("f1", num_bytes=10_000), await written(records, "a"), MOST)
        await records.add_file(file_named("f2", num_bytes=1), await written(records, "b"), MOST)
        await records.add_file(file_named("f3", "x"), await written(records, "c"), MOST)
        assert await used("") == 10_000 + LEAST_BYTES
        await records.create_upload(UPLOAD, MOST)
        assert await records.add_part("", "upload_1", "p1", await written(records, "d"), MOST)
        assert await used("") == 10_000 + 2 * LEAST_BYTES
        assert await used("x") == LEAST_BYTES
        await connections.close()

    asyncio.run(run())
