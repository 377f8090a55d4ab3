"""Contents in a place that is known by its marker: what is missing while it is away is not taken for gone."""

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from phiserve.errors import StartupError, StoreFailure
from phiserve.files.blobs import MARKER_NAME, BlobGone, BlobPlace, unusable
from phiserve.store.file_records import FileRecords

_LOG = logging.getLogger(__name__)


class MarkedBlobs:
    """Contents in a place that has the marker which the state knows.

    Where it does not have it, which is a disk that is not mounted, say, or another server's own folder,
    StoreFailure is raised for a content that is missing there, for one to be removed, and for one that would
    be acknowledged.
    """

    def __init__(self, place: BlobPlace, records: FileRecords) -> None:
        self._place = place
        self._records = records

    async def write(self, name: str, number: int, segment: bytes) -> None:
        """Write one segment."""
        await self._place.write(name, number, segment)

    async def finish(self, name: str) -> None:
        """All segments are written, and in the right place."""
        await self._place.finish(name)
        await self._check()

    async def read(self, name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
        """The whole content. Raises BlobGone where the place is there and the content is not."""
        num_read = 0
        try:
            async with aclosing(self._place.read(name, num_bytes)) as parts:
                async for part in parts:
                    num_read += len(part)
                    yield part
        except BlobGone:
            await self._check_gone(name, num_read)
            raise

    async def read_part(self, name: str, offset: int, num_bytes: int) -> bytes:
        """Some of a content. Raises BlobGone where the place is there and the content is not."""
        try:
            return await self._place.read_part(name, offset, num_bytes)
        except BlobGone:
            await self._check_gone(name, offset + num_bytes - 1)
            raise

    async def delete(self, name: str) -> None:
        """Remove a content."""
        await self._check()
        await self._place.delete(name)
        await self._check()

    async def close(self) -> None:
        """Let go of connections."""
        await self._place.close()

    async def _check_gone(self, name: str, offset: int) -> None:
        """Raises StoreFailure unless a byte of a content is missing while the place is there."""
        await self._check()
        with suppress(BlobGone):  # or the place was away, and came back before it was looked at
            await self._place.read_part(name, offset, 1)
            raise _away()
        await self._check()

    async def _check(self) -> None:
        """Raises StoreFailure unless the place has the state's marker."""
        known, found = await self._records.known_place(), await asyncio.to_thread(self._place.marker)
        if found is None or found != known:
            _LOG.warning("Files (files_url) failed in %s: %s", self._place.name, _other_place(known, found))
            raise _away()


def settled(place: BlobPlace, records: FileRecords) -> MarkedBlobs:
    """A place that can be used, and has a marker which the state knows. Raises StartupError.

    A state without contents takes any place, and that gets a marker if it has none.
    """

    def find(expected: str | None) -> str:
        try:
            found = place.marker()
            if expected is None and found is None:
                place.mark(found := uuid.uuid4().hex)
        except StoreFailure:
            raise unusable(place.name, f"{MARKER_NAME} there can't be read or written") from None
        if found is None or expected not in (None, found):
            raise StartupError(
                f"Files can't be kept in {place.name}: {_other_place(expected, found)}. Mount it, or set "
                f"files_url to it; if it is lost for good, write that marker to {MARKER_NAME} here"
            )
        return found

    place.prepare(is_new=records.expected_place() is None)
    records.settle_place(find)
    return MarkedBlobs(place, records)


def _away() -> StoreFailure:
    return StoreFailure("The server's store of files is not there; try again later")


def _other_place(expected: str | None, found: str | None) -> str:
    has = "there is none" if found is None else f"this is {found}"
    return f"the state's contents are in the place whose file {MARKER_NAME} says {expected}, and here {has}"
