"""Where bytes of files are kept: what a disk and a bucket have in common."""

from collections.abc import AsyncGenerator
from typing import Protocol

from phiserve.errors import StartupError

SEGMENT_BYTES = 4 * 2**20
"""What is written at a time, and held in memory until then; only the last one of a content is shorter."""


MARKER_NAME = "phiserve-place"
"""What a place's marker is called there: a file, or an object."""


def unusable(place: str, reason: str) -> StartupError:
    """The error of a start whose place for files can't be used."""
    remedy = "set files_url to another place (or to off, to keep none), or mend this one"
    return StartupError(f"Files can't be kept in {place}: {reason}; {remedy}")


class BlobGone(Exception):
    """A content's bytes are not there: it was deleted just now, unless the place itself is away."""


class Blobs(Protocol):
    """Keeps contents by names that are never used again. Raises StoreFailure where it can't.

    A content is written once, segment by segment, by whoever has put its name on record before.
    """

    async def write(self, name: str, number: int, segment: bytes) -> None:
        """Write one segment, counted from 0."""

    async def finish(self, name: str) -> None:
        """All segments are written; when this returns they are durable. There may be none."""

    def read(self, name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
        """The whole content, which has so many bytes, some of it at a time. Raises BlobGone."""

    async def read_part(self, name: str, offset: int, num_bytes: int) -> bytes:
        """So many bytes of a content from `offset` on, all of which it has. Raises BlobGone."""

    async def delete(self, name: str) -> None:
        """Remove whatever is there of a content, also where it was not finished, or nothing is."""

    async def close(self) -> None:
        """Let go of connections."""


class BlobPlace(Blobs, Protocol):
    """A folder or a bucket, and the marker by which it is known again."""

    @property
    def name(self) -> str:
        """How errors call it."""

    def prepare(self, *, is_new: bool) -> None:
        """See whether it can be written, read and cleared; make it if that is new. Raises StartupError."""

    def marker(self) -> str | None:
        """Its marker; None where it has none, or is not there. Raises StoreFailure."""

    def mark(self, marker: str) -> None:
        """Write a marker. Raises StoreFailure."""
