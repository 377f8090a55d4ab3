"""A content on its way in: hashed, counted and written while it comes, never whole in memory."""

import asyncio
import hashlib
from collections.abc import Awaitable

from blake3 import blake3

from phiserve.errors import RequestTooLarge
from phiserve.files.blobs import SEGMENT_BYTES, Blobs
from phiserve.files.room import HeldRoom
from phiserve.store.file_records import WholeBlob


class BlobDraft:
    """What has come of a content so far.

    `room`: what is kept for it of its owner's, None where it takes none. `with_md5`: whether its MD5 is
    wanted too.
    """

    def __init__(
        self,
        blobs: Blobs,
        name: str,
        max_bytes: int,
        limit: str,
        *,
        room: HeldRoom | None = None,
        with_md5: bool = False,
    ) -> None:
        self._blobs = blobs
        self._name = name
        self._max_bytes, self._limit = max_bytes, limit
        self._room = room
        self._buffer = bytearray()
        self._num_segments = 0
        self._blake3 = blake3()
        self._md5 = hashlib.md5(usedforsecurity=False) if with_md5 else None
        self._writing: asyncio.Future[object] | None = None
        self.num_bytes = 0

    @property
    def num_held(self) -> int:
        """Bytes that are in memory."""
        return len(self._buffer)

    @property
    def md5(self) -> str | None:
        """In hexadecimal, once all has come; None where nobody wanted it."""
        return None if self._md5 is None else self._md5.hexdigest()

    async def add(self, chunk: bytes) -> None:
        """More of it. Raises RequestTooLarge and InvalidRequest beyond the limits, and StoreFailure."""
        self.num_bytes += len(chunk)
        if self.num_bytes > self._max_bytes:
            raise too_large(self._max_bytes, self._limit)
        self._buffer += chunk
        while len(self._buffer) >= SEGMENT_BYTES:
            segment = bytes(memoryview(self._buffer)[:SEGMENT_BYTES])
            del self._buffer[:SEGMENT_BYTES]
            await self._write(segment)

    async def end(self) -> WholeBlob:
        """It is all there, and durable. Raises InvalidRequest where there is no room for it, StoreFailure."""
        if self._buffer:
            segment, self._buffer = bytes(self._buffer), bytearray()
            await self._write(segment)
        await self._to_its_end(self._blobs.finish(self._name))
        return WholeBlob(self._name, self._blake3.hexdigest(), self.num_bytes)

    async def _write(self, segment: bytes) -> None:
        if self._room is not None:
            await self._room.hold(self.num_bytes)
        number, self._num_segments = self._num_segments, self._num_segments + 1
        hashing = asyncio.to_thread(self._hash, segment)
        await self._to_its_end(asyncio.gather(hashing, self._blobs.write(self._name, number, segment)))

    async def settle(self) -> None:
        """Wait for what is still being written, though whoever began it was cancelled: on a thread, say."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _to_its_end(self, writing: Awaitable[object]) -> None:
        self._writing = asyncio.ensure_future(writing)
        await asyncio.shield(self._writing)

    def _hash(self, segment: bytes) -> None:
        self._blake3.update(segment)
        if self._md5 is not None:
            self._md5.update(segment)


def too_large(max_bytes: int, limit: str) -> RequestTooLarge:
    """The refusal of a file of more bytes than `limit`, a setting as a rule, allows."""
    return RequestTooLarge(f"The file is too large; the limit is {max_bytes} bytes ({limit})")
