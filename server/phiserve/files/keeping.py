"""The files of a server: received, found, read, and removed when their time is over."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from phiserve.errors import StoreFailure
from phiserve.files.blobs import BlobGone, Blobs
from phiserve.files.draft import BlobDraft
from phiserve.files.limits import FileLimits
from phiserve.files.room import HeldRoom
from phiserve.media.file_source import UploadedFile, no_such_file
from phiserve.store.file_records import FileRecords, WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.tended import again_and_again

_LOG = logging.getLogger(__name__)

TEND_S = 20.0
"""How often this server says what it is receiving, and removes what is to be removed."""

STALE_S = 120
"""Seconds after which a content that no server has renewed is not received any more."""

_CLOSE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class NewFile:
    """What a client says of a file. `expires_after_s`: None where it says nothing."""

    purpose: str
    filename: str
    content_type: str
    expires_after_s: int | None = None


class FileKeeper:
    """Keeps files of owners (`""` where there are no keys): what is known in the store, bytes in `blobs`.

    What a call has returned from is durable. What was not kept, for whatever reason, is removed: at once, or
    by `clear_away` of any server. It is a `media.file_source.FileSource`.
    """

    def __init__(self, records: FileRecords, blobs: Blobs, limits: FileLimits) -> None:
        self.records = records
        self.limits = limits
        self._blobs = blobs
        self._receiving: set[str] = set()
        self._removing: set[asyncio.Task[None]] = set()
        self._tending: list[asyncio.Task[None]] = []
        # By the ids of uploads that are being completed, each by one request at a time
        self.completing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def begin(self) -> None:
        """Begin to look after what is received and what expires, until `close`."""
        # Removing may take long, and what is being received must be renewed all the same
        self._tending = [
            asyncio.create_task(again_and_again(work, TEND_S, "Files"))
            for work in (self.renew, self.clear_away)
        ]

    async def close(self) -> None:
        """End that; what is being removed goes on for a little."""
        for task in self._tending:
            task.cancel()
        await asyncio.gather(*self._tending, return_exceptions=True)
        if self._removing:
            await asyncio.wait(self._removing, timeout=_CLOSE_TIMEOUT_S)
        await self._blobs.close()

    @asynccontextmanager
    async def receiving(
        self, owner: str, max_bytes: int, limit: str = "files_max_bytes", announced_bytes: int = 0
    ) -> AsyncIterator[BlobDraft]:
        """A content that an owner is about to send; it is removed unless it is kept when the context is left.

        `limit` is what the setting of `max_bytes` is called. It takes the owner's room while it comes: for
        `announced_bytes`, of the body that brings it, from now on. Raises InvalidRequest where there is none,
        and StoreFailure.
        """
        name = uuid.uuid4().hex
        room = HeldRoom(self.records, name, owner, max_bytes, self.limits.max_bytes_per_owner)
        await room.begin(announced_bytes)
        async with self._written(BlobDraft(self._blobs, name, max_bytes, limit, room=room), name) as draft:
            yield draft

    @asynccontextmanager
    async def copying(self, max_bytes: int, limit: str, *, with_md5: bool) -> AsyncIterator[BlobDraft]:
        """The same for a content that takes no room, or has it already. Raises StoreFailure."""
        name = uuid.uuid4().hex
        await self.records.begin_blob(name)
        async with self._written(
            BlobDraft(self._blobs, name, max_bytes, limit, with_md5=with_md5), name
        ) as draft:
            yield draft

    async def keep(self, owner: str, new: NewFile, whole: WholeBlob) -> StoredFile:
        """Make a file of a content that has come. Raises InvalidRequest where there is no room for it."""
        return await self.records.add_file(
            self.file_of(owner, new, whole.num_bytes), whole, self.limits.max_bytes_per_owner
        )

    def file_of(self, owner: str, new: NewFile, num_bytes: int) -> StoredFile:
        """A file that is about to be stored."""
        now = int(time.time())
        return StoredFile(
            id=f"file-{uuid.uuid4().hex}",
            owner=owner,
            created_at=now,
            expires_at=self.limits.expires_at(now, new.purpose, new.expires_after_s),
            purpose=new.purpose,
            filename=new.filename,
            content_type=new.content_type,
            num_bytes=num_bytes,
        )

    async def find(self, owner: str, file_id: str) -> UploadedFile:
        """A file, for whoever reads images or documents. Raises InvalidRequest and StoreFailure."""
        found = await self.records.file(owner, file_id)
        if found is None:
            raise no_such_file(file_id)
        whole = partial(self._whole, found)
        return UploadedFile(found.id, found.filename, found.content_type, found.num_bytes, found.blob, whole)

    def read(self, file: StoredFile) -> AsyncGenerator[bytes, None]:
        """A file's content, some of it at a time. Raises BlobGone where it was deleted meanwhile."""
        return self._blobs.read(file.blob, file.num_bytes)

    def read_blob(self, name: str, num_bytes: int) -> AsyncGenerator[bytes, None]:
        """A content, some of it at a time. Raises BlobGone."""
        return self._blobs.read(name, num_bytes)

    async def read_part(self, name: str, offset: int, num_bytes: int) -> bytes:
        """Some of a content. Raises BlobGone."""
        return await self._blobs.read_part(name, offset, num_bytes)

    async def delete(self, owner: str, file_id: str) -> bool:
        """Remove a file; its content too, unless another file has it. Whether it was there."""
        dead = await self.records.remove_file(owner, file_id)
        self.remove_contents(dead or ())
        return dead is not None

    def remove_contents(self, names: Iterable[str]) -> None:
        """Remove contents that nothing refers to any more, soon."""
        for name in names:
            self._later(self._remove(name))

    async def renew(self) -> None:
        """Say what this server is receiving. Raises StoreFailure."""
        if self._receiving:
            await self.records.renew_blobs([*self._receiving])

    async def clear_away(self, stale_s: int = STALE_S) -> None:
        """Remove what has expired, and contents that nobody will refer to. Raises StoreFailure.

        Those that were being received by a server that is gone, which has not renewed them for so long.
        """
        await self.renew()  # whatever became of the clock since
        await self.records.give_up_stale_blobs(stale_s)
        await self.records.remove_expired()
        after = ""
        while names := await self.records.dead_blobs(after):
            for name in names:
                await self._later(self._remove(name))  # whether it can be, others can
            after = names[-1]

    @asynccontextmanager
    async def _written(self, draft: BlobDraft, name: str) -> AsyncIterator[BlobDraft]:
        self._receiving.add(name)
        try:
            yield draft
        finally:
            self._receiving.discard(name)
            await asyncio.shield(self._later(self._give_up(name, draft)))  # what it took of room is free then

    async def _whole(self, file: StoredFile) -> bytes:
        try:
            async with aclosing(self.read(file)) as parts:
                read = [part async for part in parts]
        except BlobGone:
            raise no_such_file(file.id) from None
        return read[0] if len(read) == 1 else await asyncio.to_thread(b"".join, read)

    def _later(self, removing: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Remove something while nobody waits; what fails is done by whoever tends."""

        async def remove() -> None:
            """Once."""
            try:
                await removing
            except StoreFailure as failure:
                _LOG.warning("A file's content is not removed yet: %s", failure)
            except Exception:
                _LOG.exception("A file's content is not removed yet")

        task = asyncio.create_task(remove())
        self._removing.add(task)
        task.add_done_callback(self._removing.discard)
        return task

    async def _give_up(self, name: str, draft: BlobDraft) -> None:
        """Where something refers to it by now, nothing is given up."""
        if await self.records.give_up_blob(name):
            self._later(self._remove_settled(name, draft))

    async def _remove_settled(self, name: str, draft: BlobDraft) -> None:
        await draft.settle()  # or what is written last would be there again
        await self._remove(name)

    async def _remove(self, name: str) -> None:
        """Raises StoreFailure, after which it is tried again by whoever tends."""
        await self._blobs.delete(name)
        await self.records.forget_blob(name)
