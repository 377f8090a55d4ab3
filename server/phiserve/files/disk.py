"""Contents of files in a folder: each is a file of its own, and on the disk before it is acknowledged.

Written here rather than by the library that writes to buckets, whose files on a local disk may be gone, or
empty, after a loss of power: it never waits for the disk.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from phiserve.errors import StoreFailure
from phiserve.files.blobs import MARKER_NAME, SEGMENT_BYTES, BlobGone, unusable

_LOG = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_READ_BYTES = 2**20
"""What is read of a file at a time."""


class DiskBlobs:
    """Keeps contents below a folder, in 256 folders by how their names begin."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """The folder."""
        return str(self._folder)

    def prepare(self, *, is_new: bool = True) -> None:
        """Make the folder, for its owner alone, if it may be new and is missing. Raises StartupError."""
        try:
            if is_new:
                self._make_folder()
            probe = self._folder / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise unusable(self.name, error.strerror or str(error)) from None

    def marker(self) -> str | None:
        """What the file has."""
        with self._failures():
            try:
                return (self._folder / MARKER_NAME).read_text(errors="replace").strip()
            except FileNotFoundError:
                return None

    def mark(self, marker: str) -> None:
        """Write the file, which is there whole or not at all."""
        draft = self._folder / f".marker-{os.getpid()}"
        with self._failures():
            with _opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
                os.write(descriptor, f"{marker}\n".encode())
                os.fsync(descriptor)
            draft.rename(self._folder / MARKER_NAME)
            _sync_folder(self._folder)

    async def write(self, name: str, number: int, segment: bytes) -> None:
        """Write one segment where it belongs."""
        await self._run(partial(self._write, name, number, segment))

    async def finish(self, name: str) -> None:
        """Wait until the disk has the file, and its folder knows it."""
        await self._run(partial(self._finish, name))

    async def read(self, name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
        """The content. It can be read to its end also where it is deleted meanwhile. Raises BlobGone."""
        file = _ReadFile(self._path(name))
        try:
            if not await self._run(file.open):
                raise BlobGone
            while part := await self._run(file.read):
                num_bytes -= len(part)
                yield part
        finally:  # on a thread, behind what another may be doing with it though nobody waits for that
            asyncio.get_running_loop().run_in_executor(None, file.close)
        if num_bytes:
            raise BlobGone

    async def read_part(self, name: str, offset: int, num_bytes: int) -> bytes:
        """Some of the content. Raises BlobGone."""
        part = await self._run(partial(self._read_part, name, offset, num_bytes))
        if part is None or len(part) < num_bytes:
            raise BlobGone
        return part

    async def delete(self, name: str) -> None:
        """Remove the file, and wait until the disk knows: whoever forgets its name does so after that."""
        await self._run(partial(self._delete, name))

    async def close(self) -> None:
        """There is nothing open between calls."""

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _make_folder(self) -> None:
        known = next(folder for folder in self._folder.parents if folder.is_dir())
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in self._folder.parents:  # each has to learn of the next one down, if that is new
            with suppress(PermissionError):  # one that may not be read
                _sync_folder(folder)
            if folder == known:
                break

    def _write(self, name: str, number: int, segment: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
            rest, offset = memoryview(segment), number * SEGMENT_BYTES
            while rest:
                count = os.pwrite(descriptor, rest, offset)
                rest, offset = rest[count:], offset + count

    def _read_part(self, name: str, offset: int, num_bytes: int) -> bytes | None:
        try:
            with self._path(name).open("rb") as file:
                file.seek(offset)
                return file.read(num_bytes)
        except FileNotFoundError:
            return None

    def _finish(self, name: str) -> None:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
            os.fsync(descriptor)
        for folder in (path.parent, self._folder):
            _sync_folder(folder)

    def _delete(self, name: str) -> None:
        path = self._path(name)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():  # also where another call has removed the file just before
            _sync_folder(path.parent)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Off the event loop. Raises StoreFailure."""
        with self._failures():
            return await asyncio.to_thread(work)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _LOG.warning("Files (files_url) failed in %s: %s", self._folder, error.strerror)
            raise StoreFailure("The server's store of files does not work; try again later") from None


class _ReadFile:
    """A file that is read by threads, one at a time. Closed, it has nothing more, and is not opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._is_closed = False

    def open(self) -> bool:
        """Whether there is such a file. Raises OSError."""
        with self._lock, suppress(FileNotFoundError):
            if not self._is_closed:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return self._descriptor is not None

    def read(self) -> bytes:
        """The next of it, or nothing. Raises OSError."""
        with self._lock:
            return b"" if self._descriptor is None else os.read(self._descriptor, _READ_BYTES)

    def close(self) -> None:
        """Once nobody reads it any more."""
        with self._lock:
            self._is_closed = True
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has what is in a folder, by its names."""
    with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
