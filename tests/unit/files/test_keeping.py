"""Files received, found, read and removed, in a folder and in a bucket."""

import asyncio
import random
from contextlib import AsyncExitStack, aclosing, suppress

import pytest

from kept_files import Place, content_of, kept, on_files
from phiserve.errors import InvalidRequest, RequestTooLarge
from phiserve.files.blobs import SEGMENT_BYTES, BlobGone
from phiserve.files.keeping import FileKeeper, NewFile
from phiserve.files.limits import FileLimits

CONTENT = random.Random(3).randbytes(2 * SEGMENT_BYTES + 5)
SIZES = (0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES)


def test_contents_come_back(place: Place) -> None:
    """Of all sizes around those that are written at a time, as they were, also to another server."""

    async def keep(keeper: FileKeeper) -> list[str]:
        return [(await kept(keeper, CONTENT[:size])).id for size in SIZES]

    async def find(keeper: FileKeeper) -> None:
        for file_id, size in zip(ids, SIZES, strict=True):
            found = await keeper.find("", file_id)
            assert (found.num_bytes, found.filename, found.content_type) == (size, "a.png", "image/png")
            assert await found.read() == CONTENT[:size]
            stored = await keeper.records.file("", file_id)
            assert stored is not None
            assert await content_of(keeper, stored) == CONTENT[:size]

    ids = on_files(place, keep)
    on_files(place, find)


def test_equal_contents_are_kept_once(place: Place) -> None:
    """Whosesoever the files are; the last of them takes the content with it."""

    async def use(keeper: FileKeeper) -> None:
        first = await kept(keeper, CONTENT, "alice")
        await settled(keeper)
        names = place.contents()
        second = await kept(keeper, CONTENT, "bob", NewFile("batch", "b", ""))
        third, other = await kept(keeper, CONTENT, "bob"), await kept(keeper, CONTENT[1:], "bob")
        await settled(keeper)
        assert first.blob == second.blob == third.blob
        assert first.blob != other.blob
        assert {*names} < {*place.contents()}
        assert await keeper.delete("bob", other.id)
        await settled(keeper)
        assert place.contents() == names
        assert await keeper.delete("alice", first.id)
        assert await keeper.delete("bob", third.id)
        await settled(keeper)
        assert place.contents() == names
        assert await content_of(keeper, second) == CONTENT
        assert await keeper.delete("bob", second.id)
        assert not await keeper.delete("bob", second.id)
        await settled(keeper)
        assert place.contents() == []
        assert await keeper.records.dead_blobs() == []

    on_files(place, use)


async def settled(keeper: FileKeeper) -> None:
    """Wait for what is removed while nobody waits."""
    while keeper._removing:
        await asyncio.wait(keeper._removing)


def test_many_at_once(place: Place) -> None:
    """Of few contents: each is kept once, and whole."""

    async def use(keeper: FileKeeper) -> None:
        contents = [CONTENT[n % 3 :] for n in range(12)]
        files = await asyncio.gather(
            *(kept(keeper, content, f"owner {n}") for n, content in enumerate(contents))
        )
        await settled(keeper)
        assert len({file.blob for file in files}) == 3
        assert {name.rpartition("/")[0 if "0000" in name else 2] for name in place.contents()} == {
            file.blob for file in files
        }
        for file, content in zip(files, contents, strict=True):
            assert await content_of(keeper, file) == content

    on_files(place, use)


def test_what_fails_leaves_nothing(place: Place) -> None:
    """Too large, no room, given up by whoever sent it, or cancelled while it is being written."""

    async def use(keeper: FileKeeper) -> None:
        with pytest.raises(RequestTooLarge, match=r"8400000 bytes \(files_max_bytes\)"):
            await kept(keeper, CONTENT + CONTENT)
        with pytest.raises(InvalidRequest, match="no room is left"):
            await kept(keeper, CONTENT)
        with suppress(ConnectionError):
            async with keeper.receiving("", 9_000_000) as draft:
                await draft.add(CONTENT[: SEGMENT_BYTES + 5])
                raise ConnectionError
        for _ in range(20):
            task = asyncio.create_task(kept(keeper, CONTENT[: SEGMENT_BYTES + 5]))
            for _ in range(random.Random(1).randint(1, 40)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await settled(keeper)
        page = await keeper.records.page("", None, None, 100, "asc")
        assert page is not None
        for file in page.files:  # cancelled too late: it was kept already, and is whole
            assert await content_of(keeper, file) == CONTENT[: SEGMENT_BYTES + 5]
            await keeper.delete("", file.id)
        await settled(keeper)
        await keeper.clear_away(stale_s=0)
        assert place.contents() == []

    on_files(place, use, FileLimits(max_bytes=8_400_000, max_bytes_per_owner=8_388_000))


def test_rooms_are_not_given_twice(shared_place: Place) -> None:
    """Eight at once, where there is room for three."""

    async def use(keeper: FileKeeper) -> None:
        contents = [bytes([n]) * 10_000 for n in range(8)]
        results = await asyncio.gather(*(kept(keeper, one) for one in contents), return_exceptions=True)
        refused = [result for result in results if isinstance(result, InvalidRequest)]
        assert [refusal.code for refusal in refused] == ["file_quota_exceeded"] * 5
        assert await kept(keeper, contents[0], "another")

    on_files(shared_place, use, FileLimits(max_bytes_per_owner=35_000))


def test_many_receive_no_more_than_there_is_room_for(shared_place: Place) -> None:
    """Nothing of what has no room is written, also before anything has come to its end."""

    async def use(keeper: FileKeeper) -> None:
        async with AsyncExitStack() as stack:
            drafts = [await stack.enter_async_context(keeper.receiving("", 10**9)) for _ in range(4)]
            for draft in drafts[:2]:
                await draft.add(CONTENT[:SEGMENT_BYTES])
            for draft in drafts[2:]:
                with pytest.raises(InvalidRequest, match="used, or being received"):
                    await draft.add(CONTENT[:SEGMENT_BYTES])
            with pytest.raises(InvalidRequest, match="no room is left for"):
                async with keeper.receiving("", 10**9, announced_bytes=2 * SEGMENT_BYTES):
                    pass
            assert len(shared_place.contents()) == 2
        assert await kept(keeper, CONTENT)

    on_files(shared_place, use, FileLimits(max_bytes_per_owner=2 * SEGMENT_BYTES + 5000))


def test_expired_files(shared_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not there any more, and what tends removes their contents; younger ones stay."""
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)

    async def use(keeper: FileKeeper) -> None:
        nonlocal now
        hour = [await kept(keeper, b"a%d" % n, new=NewFile("vision", "a", "", 3600)) for n in range(60)]
        day = await kept(keeper, b"b", new=NewFile("vision", "b", "", 86_400))
        ever = await kept(keeper, b"c")
        assert (hour[0].expires_at, ever.expires_at) == (now + 3600, None)
        now += 3599
        await keeper.clear_away()
        assert (await keeper.find("", hour[0].id)).num_bytes == 2
        now += 1
        with pytest.raises(InvalidRequest, match="there is no file"):
            await keeper.find("", hour[0].id)
        assert not await keeper.delete("", hour[0].id)
        page = await keeper.records.page("", None, None, 10, "asc")
        assert page is not None
        assert [file.id for file in page.files] == [day.id, ever.id]
        assert len(shared_place.contents()) == 62
        await keeper.clear_away()
        assert len(shared_place.contents()) == 2

    on_files(shared_place, use)


def test_deleted_while_it_is_read(place: Place) -> None:
    """Whoever finds it too late is told so, not given a part."""

    async def use(keeper: FileKeeper) -> None:
        file = await kept(keeper, CONTENT)
        found = await keeper.find("", file.id)
        await keeper.delete("", file.id)
        await settled(keeper)
        with pytest.raises(InvalidRequest, match="there is no file") as caught:
            await found.read()
        assert caught.value.code == "file_not_found"
        with pytest.raises(BlobGone):
            async with aclosing(keeper.read(file)) as parts:
                [part async for part in parts]

    on_files(place, use)


def test_memory_is_not_what_a_file_has(place: Place) -> None:
    """However large it is: a draft holds less than what is written at a time."""

    async def use(keeper: FileKeeper) -> None:
        async with keeper.receiving("", 10**9) as draft:
            for _ in range(40):
                await draft.add(bytes(2**20))
                assert draft.num_held < SEGMENT_BYTES
            whole = await draft.end()
        assert (whole.num_bytes, draft.num_held) == (40 * 2**20, 0)

    on_files(place, use)
