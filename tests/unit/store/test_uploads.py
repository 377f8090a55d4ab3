"""Uploads in transactions of others: when they are over."""

import asyncio

import pytest

from phiserve.errors import InvalidRequest
from phiserve.store import uploads
from phiserve.store.connections import Connections
from phiserve.store.file_records import FileRecords
from phiserve.store.limits import DAY_S
from phiserve.store.location import locate
from phiserve.store.schema import prepare
from phiserve.store.uploads import GRACE_S
from unit.store.test_file_records import MOST, UPLOAD, written


def test_its_time(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pending, expired, without its parts an hour later, and gone a day after its end."""
    location = locate(state_url)
    assert location is not None
    prepare(location)
    now = UPLOAD.created_at
    monkeypatch.setattr("time.time", lambda: now)

    async def run() -> None:
        nonlocal now
        connections = Connections(location)
        records = FileRecords(connections)
        await records.create_upload(UPLOAD, MOST)
        assert await records.add_part("", "upload_1", "p1", await written(records, "a"), MOST)
        for passed, status, num_parts, removed in (
            (3599, "pending", 1, None),
            (3600, "expired", 1, None),
            (3600 + GRACE_S - 1, "expired", 1, None),
            (3600 + GRACE_S, "expired", 0, ["a"]),
            (3600 + DAY_S - 1, "expired", 0, None),
        ):
            now = UPLOAD.created_at + passed
            assert (
                await connections.write(lambda connection: uploads.remove_expired(connection, 9)) == removed
            )
            found = await records.upload("", "upload_1")
            assert found is not None
            assert found.status == status
            parts = await connections.read(lambda connection: uploads.parts(connection, "upload_1"))
            assert len(parts) == num_parts
        with pytest.raises(InvalidRequest, match="the upload is expired"):
            await connections.read(lambda connection: uploads.pending(connection, "", "upload_1"))
        now = UPLOAD.created_at + 3600 + DAY_S
        assert await connections.write(lambda connection: uploads.remove_expired(connection, 9)) == []
        assert await records.upload("", "upload_1") is None
        await connections.close()

    asyncio.run(run())
