"""Files and uploads in a database, in SQLite and PostgreSQL: what a call does is done whole or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from phiserve.errors import InvalidRequest
from phiserve.store import uploads
from phiserve.store.file_records import FileRecords, WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.room import LEAST_BYTES
from phiserve.store.uploads import StoredUpload
from stored import NOW

MOST = 10**9
UPLOAD = StoredUpload("upload_1", "", NOW, NOW + 3600, "pending", "vision", "a", "", 6, None)


def file_named(file_id: str, owner: str = "", **changes: object) -> StoredFile:
    """A file of an owner."""
    file = StoredFile(file_id, owner, NOW, None, "vision", "a.png", "image/png", 3)
    return replace(file, **changes)  # type: ignore[arg-type]


def on_records(url: str, use: Callable[[FileRecords], Awaitable[None]]) -> None:
    """Use the records of a new database."""

    async def run() -> None:
        store = open_store(url, StoreLimits())
        assert store is not None
        try:
            await use(store.files)
        finally:
            await store.close()

    asyncio.run(run())


async def written(records: FileRecords, name: str, digest: str = "", num_bytes: int = 3) -> WholeBlob:
    """A content that has come."""
    await records.begin_blob(name)
    return WholeBlob(name, digest or f"digest of {name}", num_bytes)


def test_files(state_url: str) -> None:
    """Added, found by their owner, listed and removed with their contents."""

    async def use(records: FileRecords) -> None:
        first = await records.add_file(file_named("f1"), await written(records, "a"), MOST)
        assert first == file_named("f1", blob="a")
        assert await records.file("", "f1") == first
        for owner, file_id in (("x", "f1"), ("", "f2"), ("", "\0"), ("", "ü")):
            assert await records.file(owner, file_id) is None
            assert await records.remove_file(owner, file_id) is None
        again = await records.add_file(file_named("f2"), await written(records, "b", "digest of a"), MOST)
        assert again.blob == "a"
        assert await records.remove_file("", "f1") == []
        assert await records.remove_file("", "f2") == ["a"]
        assert [*await records.dead_blobs()] == ["a", "b"]
        await records.forget_blob("a")
        assert [*await records.dead_blobs()] == ["b"]

    on_records(state_url, use)


def test_which_files_are_there(state_url: str) -> None:
    """Of many ids, those of an owner's files that have not expired."""

    async def use(records: FileRecords) -> None:
        for file in (file_named("f1"), file_named("f2"), file_named("f3", "x")):
            await records.add_file(file, await written(records, file.id), MOST)
        with pytest.raises(InvalidRequest):
            await records.add_file(file_named("f4", expires_at=1), await written(records, "f4"), MOST)
        others = [f"none{n}" for n in range(1200)]
        assert await records.present("", ["f2", "\0", "ü", "f3", "f4", *others, "f1"]) == {"f1", "f2"}
        assert await records.present("", []) == set()

    on_records(state_url, use)


def test_room(state_url: str) -> None:
    """Nothing is changed where there is none; small files count as much as a disk takes for them."""

    async def use(records: FileRecords) -> None:
        await records.add_file(file_named("f1"), await written(records, "a"), LEAST_BYTES)
        for num_bytes in (0, 1):
            whole = await written(records, f"b{num_bytes}", num_bytes=num_bytes)
            with pytest.raises(InvalidRequest, match=f"4096 of {2 * LEAST_BYTES - 1}"):
                await records.add_file(file_named("f2"), whole, 2 * LEAST_BYTES - 1)
        assert await records.file("", "f2") is None
        assert await records.give_up_blob("b0")

    on_records(state_url, use)


def test_pages(state_url: str) -> None:
    """By when they came, both ways, of one purpose, behind one of the owner's own."""

    async def use(records: FileRecords) -> None:
        for n in range(5):
            purpose = "batch" if n == 2 else "vision"
            await records.add_file(file_named(f"f{n}", purpose=purpose), await written(records, f"{n}"), MOST)
        await records.add_file(file_named("other", "x"), await written(records, "x"), MOST)

        async def ids(*asked: object) -> tuple[list[str], bool] | None:
            page = await records.page("", *asked)  # type: ignore[arg-type]
            return None if page is None else ([file.id for file in page.files], page.has_more)

        assert await ids(None, None, 10, "asc") == (["f0", "f1", "f2", "f3", "f4"], False)
        assert await ids(None, None, 2, "desc") == (["f4", "f3"], True)
        assert await ids(None, "f3", 2, "desc") == (["f2", "f1"], True)
        assert await ids(None, "f3", 2, "asc") == (["f4"], False)
        assert await ids("batch", None, 10, "asc") == (["f2"], False)
        assert await ids("\0", None, 10, "asc") == ([], False)
        for after in ("other", "f9", "\0"):
            assert await ids(None, after, 10, "asc") is None

    on_records(state_url, use)


def test_expired(state_url: str) -> None:
    """Not there from that second on, and removed with their contents."""

    async def use(records: FileRecords) -> None:
        whole = await written(records, "a")
        with pytest.raises(InvalidRequest, match="expired already"):
            await records.add_file(file_named("f1", expires_at=NOW - 1), whole, MOST)
        later = file_named("f2", expires_at=NOW + 3600)
        await records.add_file(later, await written(records, "b"), MOST)
        await records.remove_expired()
        assert await records.file("", "f2") is not None
        assert [*await records.dead_blobs()] == []

    on_records(state_url, use)


def test_uploads(state_url: str) -> None:
    """Parts are added, and go as the file comes; one of them may have the file's own content."""

    async def use(records: FileRecords) -> None:
        await records.create_upload(UPLOAD, MOST)
        assert await records.upload("", "upload_1") == UPLOAD
        assert await records.parts("x", "upload_1") is None
        for part_id, name in (("p1", "a"), ("p2", "b")):
            assert await records.add_part("", "upload_1", part_id, await written(records, name), MOST)
        assert not await records.add_part("x", "upload_1", "p3", await written(records, "c"), MOST)
        parts = await records.parts("", "upload_1")
        assert parts is not None
        assert {part.id: (part.blob, part.num_bytes) for part in parts.values()} == {
            "p1": ("a", 3),
            "p2": ("b", 3),
        }
        whole = await written(records, "d", "digest of a")
        made = await records.complete_upload("upload_1", file_named("f1"), whole, MOST)
        assert made == (file_named("f1", blob="a"), ["b"])
        assert await records.upload("", "upload_1") == replace(UPLOAD, status="completed", file="f1")
        for again in (
            records.complete_upload("upload_1", file_named("f2"), await written(records, "e"), MOST),
            records.cancel_upload("", "upload_1"),
            records.parts("", "upload_1"),
        ):
            with pytest.raises(InvalidRequest, match="the upload is completed"):
                await again

    on_records(state_url, use)


def test_completed_in_time(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its time was over while its parts were put together; not one that was cancelled meanwhile."""
    now = float(NOW)
    monkeypatch.setattr("time.time", lambda: now)

    async def use(records: FileRecords) -> None:
        nonlocal now
        for upload_id in ("upload_1", "upload_2"):
            await records.create_upload(replace(UPLOAD, id=upload_id), MOST)
        await records.cancel_upload("", "upload_2")
        now = UPLOAD.expires_at
        whole = await written(records, "a")
        with pytest.raises(InvalidRequest, match="the upload is cancelled"):
            await records.complete_upload("upload_2", file_named("f2"), whole, MOST)
        assert await records.complete_upload("upload_1", file_named("f1"), whole, MOST) is not None
        assert await records.upload("", "upload_1") == replace(UPLOAD, status="completed", file="f1")
        assert await records.complete_upload("upload_9", file_named("f9"), whole, MOST) is None

    on_records(state_url, use)


def test_files_of_no_parts(state_url: str) -> None:
    """Count as any; others take the room that their parts had, also where the owner has too much."""

    async def use(records: FileRecords) -> None:
        for upload_id in ("upload_1", "upload_2"):
            await records.create_upload(replace(UPLOAD, id=upload_id), MOST)
        assert await records.add_part("", "upload_1", "p1", await written(records, "a"), MOST)
        empty = await written(records, "b", num_bytes=0)
        with pytest.raises(InvalidRequest, match=f"{3 * LEAST_BYTES} of {4 * LEAST_BYTES - 1}"):
            await records.complete_upload("upload_2", file_named("f2"), empty, 4 * LEAST_BYTES - 1)
        assert await records.upload("", "upload_2") == replace(UPLOAD, id="upload_2")
        made = await records.complete_upload("upload_2", file_named("f2"), empty, 4 * LEAST_BYTES)
        assert made is not None
        whole = await written(records, "c")
        assert await records.complete_upload("upload_1", file_named("f1"), whole, 1) is not None

    on_records(state_url, use)


def test_many_parts(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an upload are refused, where a request could not name them all."""
    monkeypatch.setattr(uploads, "MAX_PARTS", 2)

    async def use(records: FileRecords) -> None:
        await records.create_upload(UPLOAD, MOST)
        for n in range(2):
            empty = await written(records, f"{n}", num_bytes=0)
            assert await records.add_part("", "upload_1", f"p{n}", empty, MOST)
        with pytest.raises(InvalidRequest, match="at most 2 parts") as caught:
            await records.add_part("", "upload_1", "p3", await written(records, "3", num_bytes=0), MOST)
        assert caught.value.param == "data"

    on_records(state_url, use)


def test_cancelled(state_url: str) -> None:
    """Its parts go with it."""

    async def use(records: FileRecords) -> None:
        await records.create_upload(UPLOAD, MOST)
        assert await records.add_part("", "upload_1", "p1", await written(records, "a"), MOST)
        assert await records.cancel_upload("x", "upload_1") is None
        assert await records.cancel_upload("", "upload_1") == ["a"]
        assert await records.upload("", "upload_1") == replace(UPLOAD, status="cancelled")

    on_records(state_url, use)
