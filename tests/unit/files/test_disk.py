"""Contents of files in a folder: on the disk before they are acknowledged, readable by nobody else."""

import asyncio
import errno
import logging
import os
import stat
import threading
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from phiserve.errors import StartupError, StoreFailure
from phiserve.files.blobs import MARKER_NAME, SEGMENT_BYTES, BlobGone
from phiserve.files.disk import DiskBlobs


async def content(blobs: DiskBlobs, name: str, num_bytes: int) -> bytes:
    """All of a content."""
    async with aclosing(blobs.read(name, num_bytes)) as parts:
        return b"".join([part async for part in parts])


def test_modes(tmp_path: Path) -> None:
    """Files of their owner alone, in folders of theirs."""
    blobs = DiskBlobs(tmp_path / "new" / "files")
    blobs.prepare()
    asyncio.run(blobs.write("abcd", 0, b"x"))
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*")}
    assert found == {"files": 0o700, "ab": 0o700, "abcd": 0o600}


def test_segments_in_any_order(tmp_path: Path) -> None:
    """Each stands where it belongs, also where it is written again."""

    async def run() -> None:
        blobs = DiskBlobs(tmp_path)
        for number, segment in ((1, b"end"), (0, bytes(SEGMENT_BYTES)), (1, b"end")):
            await blobs.write("ab", number, segment)
        await blobs.finish("ab")
        assert await content(blobs, "ab", SEGMENT_BYTES + 3) == bytes(SEGMENT_BYTES) + b"end"

    asyncio.run(run())


def test_the_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the file, for its folder, and for the folder that this is in."""
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )

    async def run() -> None:
        blobs = DiskBlobs(tmp_path)
        await blobs.write("abc", 0, b"x")
        assert synced == []
        await blobs.finish("abc")

    asyncio.run(run())
    assert synced == [str(tmp_path / "ab" / "abc"), str(tmp_path / "ab"), str(tmp_path)]


def test_new_folders_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in the one above it, or a loss of power would take all that is in them."""
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    for _ in range(2):
        DiskBlobs(tmp_path / "some" / "new" / "files").prepare()
    new = tmp_path / "some" / "new"
    assert synced == [str(path) for path in (new, new.parent, tmp_path, new)]


@pytest.mark.parametrize("held_up", ["open", "read"])
def test_nobody_reads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_up: str) -> None:
    """A file that is being opened or read when its reader is cancelled is closed, and not before."""
    path, may_go_on, has_begun = tmp_path / "ab" / "ab", threading.Event(), threading.Event()
    done: list[object] = []
    slow = getattr(os, held_up)

    def held(*arguments: Any) -> object:
        if arguments[0] not in (path, descriptor_of(path)):
            return slow(*arguments)
        has_begun.set()
        may_go_on.wait()
        done.append(slow(*arguments))
        return done[-1]

    async def run() -> None:
        blobs = DiskBlobs(tmp_path)
        await blobs.write("ab", 0, b"whole")
        monkeypatch.setattr(os, held_up, held)
        reading = asyncio.create_task(content(blobs, "ab", 5))
        await asyncio.to_thread(has_begun.wait)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        may_go_on.set()

    asyncio.run(run())
    assert len(done) == 1
    assert descriptor_of(path) is None


def descriptor_of(path: Path) -> int | None:
    """The number of a file that this process has open."""
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if link.readlink() == path:
                return int(link.name)
    return None


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """503 for what is to be written; that the rest is not there is for `MarkedBlobs` to judge."""

    async def run() -> None:
        blobs = DiskBlobs(tmp_path / "files")
        blobs.prepare()
        (tmp_path / "files").rmdir()
        for writing in (blobs.write("ab", 0, b"x"), blobs.finish("ab")):
            with pytest.raises(StoreFailure):
                await writing
        await blobs.delete("ab")
        assert blobs.marker() is None
        with pytest.raises(BlobGone):
            await content(blobs, "ab", 1)
        with pytest.raises(StoreFailure):
            blobs.mark("x")
        with pytest.raises(StartupError, match="No such file or directory"):
            blobs.prepare(is_new=False)

    asyncio.run(run())


def test_a_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on the disk before anything refers to it, and can be written by hand."""
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    )
    blobs = DiskBlobs(tmp_path)
    assert blobs.marker() is None
    blobs.mark("a")
    assert [path.name for path in tmp_path.iterdir()] == [MARKER_NAME]
    assert synced == [str(tmp_path / f".marker-{os.getpid()}"), str(tmp_path)]
    (tmp_path / MARKER_NAME).write_text("b")
    assert blobs.marker() == "b"
    (tmp_path / MARKER_NAME).unlink()
    (tmp_path / MARKER_NAME).mkdir()
    with pytest.raises(StoreFailure):
        blobs.marker()


def test_the_disk_is_waited_for_when_a_file_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it might be there again after a loss of power, when nothing refers to it any more."""
    blobs, synced = DiskBlobs(tmp_path), list[tuple[str, bool]]()

    def sync(descriptor: int) -> None:
        folder = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append((folder, (tmp_path / "ab" / "abc").exists()))

    async def run() -> None:
        await blobs.write("abc", 0, b"x")
        monkeypatch.setattr(os, "fsync", sync)
        for name in ("abc", "abc", "xyz"):
            await blobs.delete(name)

    asyncio.run(run())
    assert synced == [(str(tmp_path / "ab"), False)] * 2


def test_a_short_file_is_not_given(tmp_path: Path) -> None:
    """One that somebody else has cut, or removed."""

    async def run() -> None:
        blobs = DiskBlobs(tmp_path)
        await blobs.write("ab", 0, b"whole")
        await blobs.finish("ab")
        assert await content(blobs, "ab", 5) == b"whole"
        (tmp_path / "ab" / "ab").write_bytes(b"half")
        for name in ("ab", "xy"):
            with pytest.raises(BlobGone):
                await content(blobs, name, 5)

    asyncio.run(run())


def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """503, and what the operator needs is in the log."""

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with caplog.at_level(logging.WARNING), pytest.raises(StoreFailure):
        asyncio.run(DiskBlobs(tmp_path).write("ab", 0, b"x"))
    assert f"failed in {tmp_path}: No space left on device" in caplog.text


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    """Which, why, and the remedy."""
    (tmp_path / "file").touch()
    for folder, reason in (
        (tmp_path / "file", "File exists|Not a directory"),
        (tmp_path / "file" / "x", "Not a directory"),
        (Path("/proc/phiserve"), "No such file or directory"),
    ):
        with pytest.raises(StartupError, match=reason) as caught:
            DiskBlobs(folder).prepare()
        assert str(folder) in str(caught.value)
        assert "set files_url to another place" in str(caught.value)


def test_parts(tmp_path: Path) -> None:
    """Any bytes of a content, wherever they begin; what is not there is told."""

    async def run() -> None:
        blobs = DiskBlobs(tmp_path)
        await blobs.write("ab", 0, b"0123456789")
        assert await blobs.read_part("ab", 3, 4) == b"3456"
        assert await blobs.read_part("ab", 10, 0) == b""
        for name, offset in (("ab", 8), ("ac", 0)):
            with pytest.raises(BlobGone):
                await blobs.read_part(name, offset, 3)

    asyncio.run(run())
