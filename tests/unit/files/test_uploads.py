"""Files that come in parts, in a folder and in a bucket."""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from kept_files import Place, content_of, on_files, pieces
from phiserve.errors import InvalidRequest, RequestTooLarge
from phiserve.files.blobs import SEGMENT_BYTES
from phiserve.files.draft import BlobDraft
from phiserve.files.keeping import FileKeeper, NewFile
from phiserve.files.limits import UPLOAD_AGE_S, FileLimits
from phiserve.files.uploads import Uploads
from phiserve.store.limits import DAY_S
from phiserve.store.room import LEAST_BYTES
from phiserve.store.uploads import GRACE_S, StoredUpload

CONTENT = random.Random(4).randbytes(2 * SEGMENT_BYTES + 70_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
NEW = NewFile("user_data", "a.bin", "application/octet-stream", 7200)


async def begun(uploads: Uploads, content: bytes = CONTENT, owner: str = "") -> StoredUpload:
    """An upload of a content."""
    return await uploads.create(owner, NEW, len(content))


async def sent(uploads: Uploads, upload: StoredUpload, part: bytes) -> str:
    """The id of a part that has been sent."""
    async with uploads.keeper.receiving(upload.owner, 10**9) as draft:
        await draft.add(part)
        part_id = await uploads.add_part(upload.owner, upload.id, await draft.end())
    assert part_id is not None
    return part_id


async def settled(keeper: FileKeeper) -> None:
    """Wait for what is removed while nobody waits."""
    while keeper._removing:
        await asyncio.wait(keeper._removing)


def test_parts_become_a_file(place: Place) -> None:
    """In the order in which they are named, not in that in which they came; nothing else is left of them."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        upload = await begun(uploads)
        parts = [*pieces(CONTENT, 3_000_000)]
        ids = await asyncio.gather(*(sent(uploads, upload, part) for part in reversed(parts)))
        await sent(uploads, upload, b"one too many")
        completed = await uploads.complete("", upload.id, ids[::-1], MD5.upper())
        assert completed is not None
        told, file = completed
        assert file is not None
        assert told == replace(upload, status="completed", file=file.id)
        assert (file.num_bytes, file.filename, file.purpose) == (len(CONTENT), "a.bin", "user_data")
        assert file.expires_at == file.created_at + 7200
        assert await content_of(keeper, file) == CONTENT
        assert await uploads.complete("", upload.id, ["anything"], None) == (told, file)
        await settled(keeper)
        assert all(file.blob in name for name in place.contents())
        for refused in (sent(uploads, upload, b"x"), uploads.cancel("", upload.id)):
            with pytest.raises(InvalidRequest, match="the upload is completed"):
                await refused
        await keeper.delete("", file.id)
        assert await uploads.complete("", upload.id, ids, None) == (told, None)

    on_files(place, use)


def test_one_part_is_the_file(place: Place) -> None:
    """Its content is kept, though the part is not."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        upload = await begun(uploads)
        completed = await uploads.complete("", upload.id, [await sent(uploads, upload, CONTENT)], None)
        assert completed is not None
        file = completed[1]
        assert file is not None
        await settled(keeper)
        assert await content_of(keeper, file) == CONTENT

    on_files(place, use)


def test_what_does_not_fit_together(place: Place) -> None:
    """Each is told, and the upload goes on."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        upload, other = await begun(uploads, b"abcdef"), await begun(uploads, b"x")
        first, second = await sent(uploads, upload, b"abc"), await sent(uploads, upload, b"def")
        stranger = await sent(uploads, other, b"x")
        for ids, md5, reason in (
            ([first], None, "the parts have 3 bytes, the upload was begun for 6"),
            ([first, first], None, "a part is named twice"),
            ([first, stranger], None, "the upload has no part"),
            ([first, second], "0" * 32, "the parts' MD5 is e80b5017098950fc58aad83c8c14978e"),
        ):
            with pytest.raises(InvalidRequest, match=reason):
                await uploads.complete("", upload.id, ids, md5)
        with pytest.raises(InvalidRequest, match="more bytes than the upload was begun for"):
            await sent(uploads, upload, b"1234567")
        completed = await uploads.complete("", upload.id, [first, second], None)
        assert completed is not None

    on_files(place, use)


def test_of_another(place: Place) -> None:
    """It is not there."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        upload = await begun(uploads, b"a", "alice")
        part = await sent(uploads, upload, b"a")
        async with keeper.receiving("bob", 10) as draft:
            await draft.add(b"a")
            assert await uploads.add_part("bob", upload.id, await draft.end()) is None
        assert await uploads.find("bob", upload.id) is None
        assert await uploads.complete("bob", upload.id, [part], None) is None
        assert await uploads.cancel("bob", upload.id) is None
        assert await uploads.find("alice", "no\0id") is None
        assert await uploads.find("alice", upload.id) == upload

    on_files(place, use)


def test_cancelled(place: Place) -> None:
    """Its parts are removed, and it can't go on; whoever was not told may ask again."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        upload = await begun(uploads)
        part = await sent(uploads, upload, b"a")
        for _ in range(2):
            assert await uploads.cancel("", upload.id) == replace(upload, status="cancelled")
        await settled(keeper)
        assert place.contents() == []
        with pytest.raises(InvalidRequest, match="the upload is cancelled"):
            await uploads.complete("", upload.id, [part], None)

    on_files(place, use)


def test_limits(place: Place) -> None:
    """Of one upload, and of all that an owner has: parts count while they are there."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        with pytest.raises(RequestTooLarge, match=r"60000 bytes \(files_max_upload_bytes\)"):
            await begun(uploads, bytes(60_001))
        upload = await begun(uploads, bytes(30_000))
        part = await sent(uploads, upload, bytes(30_000))
        with pytest.raises(InvalidRequest, match="no room is left for 28194 bytes"):
            await begun(uploads, bytes(28_194))
        second = await begun(uploads, bytes(20_000))
        third = await begun(uploads, bytes(20_000))
        await sent(uploads, second, bytes(20_000))
        with pytest.raises(InvalidRequest, match=r"no room is left: 62288 of 62288 "):
            await sent(uploads, third, b"x")
        assert await uploads.complete("", upload.id, [part], None) is not None

    on_files(place, use, FileLimits(max_upload_bytes=60_000, max_bytes_per_owner=50_000 + 3 * LEAST_BYTES))


def test_expired(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an hour it can't go on; its parts are removed an hour later, what is known of it after a day."""
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)

    async def use(keeper: FileKeeper) -> None:
        nonlocal now
        uploads = Uploads(keeper)
        upload = await begun(uploads)
        part = await sent(uploads, upload, b"a")
        now += UPLOAD_AGE_S
        assert await uploads.find("", upload.id) == replace(upload, status="expired")
        for refused in (sent(uploads, upload, b"x"), uploads.complete("", upload.id, [part], None)):
            with pytest.raises(InvalidRequest, match="the upload is expired"):
                await refused
        await settled(keeper)
        await keeper.clear_away()
        assert len(place.contents()) == 1
        now += GRACE_S
        await keeper.clear_away()
        assert place.contents() == []
        assert await uploads.find("", upload.id) is not None
        now += DAY_S
        await keeper.clear_away()
        assert await uploads.find("", upload.id) is None

    on_files(place, use)


def test_completed_by_many_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: all are told of the same file, and there is never more than one copy of the parts."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        upload = await begun(uploads, b"abcdef")
        ids = [await sent(uploads, upload, part) for part in (b"abc", b"def")]
        copies, copying = 0, keeper.copying

        def counted(*arguments: Any, **options: Any) -> AbstractAsyncContextManager[BlobDraft]:
            nonlocal copies
            copies += 1
            return copying(*arguments, **options)

        monkeypatch.setattr(keeper, "copying", counted)
        told = await asyncio.gather(*(Uploads(keeper).complete("", upload.id, ids, None) for _ in range(8)))
        assert told[0] is not None
        assert told == [told[0]] * 8
        assert copies == 1
        assert len(keeper.completing) == 0

    on_files(place, use)


def test_completed_by_another_server(shared_place: Place) -> None:
    """That was faster: its file is the answer here, too."""

    async def use(keeper: FileKeeper) -> None:
        uploads = Uploads(keeper)
        upload = await begun(uploads, b"abc")
        ids = [await sent(uploads, upload, b"abc")]
        other = FileKeeper(keeper.records, keeper._blobs, keeper.limits)
        reading, told = keeper.read_blob, []

        def read_late(name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
            async def read() -> AsyncGenerator[bytes, None]:
                async for chunk in reading(name, num_bytes):
                    yield chunk
                told.append(await Uploads(other).complete("", upload.id, ids, None))

            return read()

        keeper.read_blob = read_late  # type: ignore[method-assign]
        told.append(await uploads.complete("", upload.id, ids, None))
        assert told[0] is not None
        assert told[0] == told[1]
        await settled(keeper)
        await settled(other)

    on_files(shared_place, use)


def test_completed_when_its_time_is_over(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked for in time is done, however long it takes."""
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)

    async def use(keeper: FileKeeper) -> None:
        nonlocal now
        uploads = Uploads(keeper)
        upload = await begun(uploads, b"abc")
        ids = [await sent(uploads, upload, b"abc")]
        reading = keeper.read_blob

        def read_slowly(name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
            nonlocal now
            now += UPLOAD_AGE_S
            return reading(name, num_bytes)

        keeper.read_blob = read_slowly  # type: ignore[method-assign]
        told = await uploads.complete("", upload.id, ids, None)
        assert told is not None
        assert told[0].status == "completed"
        assert told == await uploads.complete("", upload.id, ids, None)

    on_files(place, use)
