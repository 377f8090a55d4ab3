"""A place that is away for a moment, or another one than the state's, loses nothing."""

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from kept_files import content_of, kept, on_files
from phiserve.errors import StartupError, StoreFailure
from phiserve.files.blobs import MARKER_NAME, BlobGone
from phiserve.files.disk import DiskBlobs
from phiserve.files.keeping import FileKeeper
from phiserve.files.limits import FileLimits
from phiserve.files.opening import open_files
from phiserve.store.files import StoredFile
from phiserve.store.limits import StoreLimits
from phiserve.store.opening import open_store
from phiserve.store.sql_store import SqlStore
from unit.files.conftest import bucket_place, folder_place
from unit.files.test_keeping import settled
from unit.store.conftest import PostgresServer

MARKER = re.compile("[0-9a-f]{32}")


async def started(keeper: FileKeeper) -> FileKeeper:
    """A server that starts, and does nothing."""
    return keeper


async def keep_one(keeper: FileKeeper) -> StoredFile:
    """A file of a few bytes."""
    return await kept(keeper, b"content")


async def read_one(keeper: FileKeeper, file: StoredFile) -> None:
    """A file of a few bytes, however it is read."""
    assert await content_of(keeper, file) == b"content"
    assert await keeper.read_part(file.blob, 3, 4) == b"tent"
    assert await (await keeper.find("", file.id)).read() == b"content"


async def fails_for_now(keeper: FileKeeper, file: StoredFile) -> None:
    """Whoever reads a file is told to come back."""
    for read in (content_of(keeper, file), keeper.read_part(file.blob, 3, 4), read_one(keeper, file)):
        with pytest.raises(StoreFailure):
            await read
    found = await keeper.find("", file.id)
    with pytest.raises(StoreFailure):
        await found.read()


def mounted(folder: Path, *, empty: bool) -> Callable[[], None]:
    """Put a folder aside, as if it were a disk that is not mounted; what is returned mounts it again."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    if empty:
        folder.mkdir()

    def mount() -> None:
        with suppress(FileNotFoundError):
            folder.rename(folder.with_name("below"))
        aside.rename(folder)

    return mount


@pytest.mark.parametrize("empty", [False, True])
def test_a_folder_that_is_away(tmp_path: Path, caplog: pytest.LogCaptureFixture, *, empty: bool) -> None:
    """Missing, or empty as what a disk is mounted on: nothing is gone, forgotten or acknowledged then."""

    async def use(keeper: FileKeeper) -> None:
        file, other = await keep_one(keeper), await kept(keeper, b"other")
        mount = mounted(tmp_path / "files", empty=empty)
        with caplog.at_level(logging.WARNING):
            await fails_for_now(keeper, file)
        assert f"failed in {tmp_path}/files: the state's contents are in the place whose" in caplog.text
        with pytest.raises(StoreFailure):
            await kept(keeper, b"new")
        assert await keeper.delete("", other.id)
        await settled(keeper)
        await keeper.clear_away()
        assert other.blob in await keeper.records.dead_blobs()
        mount()
        await read_one(keeper, file)
        await keeper.clear_away()
        assert await keeper.records.dead_blobs() == []
        assert place.contents() == [f"{file.blob[:2]}/{file.blob}"]

    place = folder_place(tmp_path, f"sqlite:///{tmp_path / 'state.db'}")
    on_files(place, use)


def test_a_folder_that_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at a content and that at the marker: nothing is gone either."""
    mounts: list[Callable[[], None]] = []
    marker = DiskBlobs.marker

    def late(blobs: DiskBlobs) -> str | None:
        while mounts:
            mounts.pop()()
        return marker(blobs)

    async def use(keeper: FileKeeper) -> None:
        file = await keep_one(keeper)
        monkeypatch.setattr(DiskBlobs, "marker", late)
        for read in (keeper.read_part(file.blob, 3, 4), content_of(keeper, file)):
            mounts.append(mounted(tmp_path / "files", empty=False))
            with pytest.raises(StoreFailure):
                await read
        await read_one(keeper, file)

    on_files(folder_place(tmp_path, f"sqlite:///{tmp_path / 'state.db'}"), use)


@pytest.mark.parametrize("empty", [False, True])
def test_a_start_before_the_disk_is_mounted(tmp_path: Path, *, empty: bool) -> None:
    """Is refused in one sentence, and makes nothing; afterwards all is there."""
    place = folder_place(tmp_path, f"sqlite:///{tmp_path / 'state.db'}")
    file = on_files(place, keep_one)
    mount = mounted(tmp_path / "files", empty=empty)
    with pytest.raises(StartupError, match=f"^Files can't be kept in {tmp_path}/files: ") as caught:
        on_files(place, started)
    assert (tmp_path / "files").exists() == empty
    if empty:
        assert [*(tmp_path / "files").iterdir()] == []
        assert "and here there is none. Mount it, or set files_url to it" in str(caught.value)
    mount()

    async def use(keeper: FileKeeper) -> None:
        await read_one(keeper, file)

    on_files(place, use)


def test_a_place_that_is_lost(tmp_path: Path) -> None:
    """With its marker written by hand, as the sentence says, an empty one takes its place."""
    place = folder_place(tmp_path, f"sqlite:///{tmp_path / 'state.db'}")
    file = on_files(place, keep_one)
    mounted(tmp_path / "files", empty=True)
    with pytest.raises(StartupError) as caught:
        on_files(place, started)
    (marker,) = MARKER.findall(str(caught.value))
    (tmp_path / "files" / MARKER_NAME).write_text(f"{marker}\n")

    async def use(keeper: FileKeeper) -> None:
        with pytest.raises(BlobGone):
            await content_of(keeper, file)
        with pytest.raises(BlobGone):
            await keeper.read_part(file.blob, 0, 1)
        assert await content_of(keeper, await kept(keeper, b"new")) == b"new"

    on_files(place, use)


def test_a_bucket_that_is_another(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Refused at the start; one without objects is taken where the state has no contents."""
    state = f"sqlite:///{tmp_path / 'state.db'}"
    first, second = bucket_place(request, state), bucket_place(request, state)
    for place in (first, second, first):
        on_files(place, started)
    file = on_files(first, keep_one)
    with pytest.raises(
        StartupError, match=f"^Files can't be kept in {second.files_url}: .* and here this is"
    ):
        on_files(second, started)

    async def remove(keeper: FileKeeper) -> None:
        await read_one(keeper, file)
        await keeper.delete("", file.id)
        await settled(keeper)

    on_files(first, remove)
    on_files(second, keep_one)


def test_a_bucket_that_is_away(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Its marker is gone with the objects: told to come back."""
    place = bucket_place(request, f"sqlite:///{tmp_path / 'state.db'}")

    async def use(keeper: FileKeeper) -> None:
        file = await keep_one(keeper)
        bucket = S3Store.from_url(place.files_url, client_options={"allow_http": True})
        obstore.delete(bucket, [meta["path"] for meta in obstore.list(bucket).collect()])
        await fails_for_now(keeper, file)

    on_files(place, use)


def test_servers_with_folders_of_their_own(
    postgresql: PostgresServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first that keeps a file settles where; another, which began before that, loses nothing of it."""
    state_url = postgresql.new_place()

    def opened(name: str) -> tuple[FileKeeper, SqlStore]:
        store = open_store(state_url, StoreLimits())
        assert store is not None
        keeper = open_files(f"file://{tmp_path}/{name}", FileLimits(), store)
        assert keeper is not None
        return keeper, store

    async def run() -> None:
        (other, _), (first, _) = servers = [opened("there"), opened("here")]
        file, dead = await keep_one(first), await kept(first, b"dead")
        await fails_for_now(other, file)
        with caplog.at_level(logging.ERROR), pytest.raises(StoreFailure, match="in different places"):
            await kept(other, b"new")
        assert "(files_url): another has settled" in caplog.text
        await other.delete("", dead.id)
        await settled(other)
        assert await first.records.dead_blobs() == [dead.blob]
        await first.clear_away()
        assert await first.records.dead_blobs() == []
        await read_one(first, file)
        with pytest.raises(StartupError, match=f"^Files can't be kept in {tmp_path}/there: "):
            opened("there")
        for keeper, store in servers:
            await keeper.close()
            await store.close()

    asyncio.run(run())
