"""A file that grows by whole records, and that a later run goes on with, however the last one ended."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from phiserve.cli.failures import reason_of
from phiserve.errors import StartupError


class ResumedFile:
    """A regular file, made if it is missing, that one process at a time appends records to.

    Raises StartupError where it can't be opened, or another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))  # a link stays one when its file is replaced
        with self._told():
            self._descriptor = self._open()
        self._size = os.fstat(self._descriptor).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes that are in it."""
        return self._size

    def reader(self) -> BinaryIO:
        """Read it from its beginning; to be closed."""
        return self.path.open("rb")

    def cut(self, size: int) -> None:
        """Keep the first `size` bytes."""
        with self._told():
            os.ftruncate(self._descriptor, size)
        self._size = size

    def append(self, record: bytes) -> None:
        """Write a record, whole or not at all. Raises StartupError, as where the disk is full."""
        left = memoryview(record)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BaseException as error:
            os.ftruncate(self._descriptor, self._size)
            if isinstance(error, OSError):
                raise self._failure(error) from None
            raise
        self._size += len(record)

    def replace(self, records: Iterator[bytes]) -> None:
        """Put other content in its place, in one step; appending ends with it. Raises StartupError."""
        part = self.path.with_name(f".{self.path.name}.part")
        with self._told():
            with part.open("wb") as written:
                os.fchmod(written.fileno(), stat.S_IMODE(os.fstat(self._descriptor).st_mode))
                written.writelines(records)
                written.flush()
                os.fsync(written.fileno())
            part.replace(self.path)

    def close(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)

    def _open(self) -> int:
        """A descriptor that holds the file's lock. Raises OSError and StartupError."""
        while True:
            if self.path.exists() and not self.path.is_file():  # a pipe would wait for its reader
                raise StartupError(f"{self.path} is not a file that a later run could go on with")
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise StartupError(f"Another run is writing to {self.path}") from None
            if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                return descriptor
            os.close(descriptor)  # another run has put its finished file in the place of what was opened

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> StartupError:
        return StartupError(f"{self.path} cannot be written: {reason_of(error)}")
