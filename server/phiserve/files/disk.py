"""Contents of files in a folder: each is a file of its own, and on the disk before it is acknowledged.

Written here rather than by the library that writes to buckets, whose files on a local disk may be gone, or
empty, after a loss of power: it never waits for the disk.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from phiserve.errors import StoreFailure
from phiserve.files.blobs import SEGMENT_BYTES, BlobGone, unusable

_LOG = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_READ_BYTES = 2**20
"""What is read of a file at a time."""


class DiskBlobs:
    """Keeps contents below a folder, in 256 folders by how their names begin."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder, for its owner alone, where it is missing. Raises StartupError."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self._folder / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise unusable(str(self._folder), error.strerror or str(error)) from None

    async def write(self, name: str, number: int, segment: bytes) -> None:
        """Write one segment where it belongs."""
        await self._run(partial(self._write, name, number, segment))

    async def finish(self, name: str) -> None:
        """Wait until the disk has the file, and its folder knows it."""
        await self._run(partial(self._finish, name))

    async def read(self, name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
        """The content. It can be read to its end also where it is deleted meanwhile. Raises BlobGone."""
        path = self._path(name)
        try:
            descriptor = await self._run(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            raise BlobGone from None
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while part := await self._run(lambda: file.read(_READ_BYTES)):
                num_bytes -= len(part)
                yield part
        if num_bytes:
            raise BlobGone

    async def delete(self, name: str) -> None:
        """Remove the file."""
        await self._run(lambda: self._path(name).unlink(missing_ok=True))

    async def close(self) -> None:
        """There is nothing open between calls."""

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def _write(self, name: str, number: int, segment: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
            rest, offset = memoryview(segment), number * SEGMENT_BYTES
            while rest:
                count = os.pwrite(descriptor, rest, offset)
                rest, offset = rest[count:], offset + count

    def _finish(self, name: str) -> None:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
            os.fsync(descriptor)
        for folder in (path.parent, self._folder):
            with _opened(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
                os.fsync(descriptor)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        """Off the event loop. Raises StoreFailure, and FileNotFoundError."""
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError:
            raise
        except OSError as error:
            _LOG.warning("Files (files_url) failed in %s: %s", self._folder, error.strerror)
            raise StoreFailure("The server's store of files does not work; try again later") from None


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
