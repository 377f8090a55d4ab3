"""Files that come in parts: begun, added to, completed or cancelled."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from phiserve.errors import InvalidRequest, RequestTooLarge, shortened
from phiserve.files.blobs import BlobGone
from phiserve.files.draft import BlobDraft
from phiserve.files.keeping import FileKeeper, NewFile
from phiserve.files.limits import UPLOAD_AGE_S
from phiserve.store.file_records import WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.uploads import StoredPart, StoredUpload


@dataclass(frozen=True, slots=True)
class Uploads:
    """Uploads whose files a keeper keeps. What is None in an answer is not there, or another owner's."""

    keeper: FileKeeper

    async def create(self, owner: str, new: NewFile, num_bytes: int) -> StoredUpload:
        """Begin an upload. Raises RequestTooLarge, InvalidRequest where there is no room, StoreFailure."""
        limits = self.keeper.limits
        if num_bytes > limits.max_upload_bytes:
            reason = f"The file is too large; the limit is {limits.max_upload_bytes} bytes"
            raise RequestTooLarge(f"{reason} (files_max_upload_bytes)", param="bytes")
        now = int(time.time())
        upload = StoredUpload(
            id=f"upload_{uuid.uuid4().hex}",
            owner=owner,
            created_at=now,
            expires_at=now + UPLOAD_AGE_S,
            status="pending",
            purpose=new.purpose,
            filename=new.filename,
            content_type=new.content_type,
            num_bytes=num_bytes,
            file_expires_after_s=new.expires_after_s,
        )
        await self.keeper.records.create_upload(upload, limits.max_bytes_per_owner)
        return upload

    async def find(self, owner: str, upload_id: str) -> StoredUpload | None:
        """An upload."""
        return await self.keeper.records.upload(owner, upload_id)

    async def add_part(self, owner: str, upload_id: str, whole: WholeBlob) -> str | None:
        """Add a part that has come; its id. Raises InvalidRequest where it can't be added."""
        part_id = f"part_{uuid.uuid4().hex}"
        records, most = self.keeper.records, self.keeper.limits.max_bytes_per_owner
        return part_id if await records.add_part(owner, upload_id, part_id, whole, most) else None

    async def complete(
        self, owner: str, upload_id: str, part_ids: Sequence[str], md5: str | None
    ) -> tuple[StoredUpload, StoredFile | None] | None:
        """Make a file of parts, in this order; the upload as it is then, and the file.

        One that is completed already is answered as it is: a client that was not told may ask again. Its
        file is None where it was deleted since. What is completed when its time is over stays so. Raises
        InvalidRequest, and StoreFailure.
        """
        lock = self.keeper.completing.setdefault(upload_id, asyncio.Lock())
        async with lock:  # or each of many requests would have a copy of all parts
            upload = await self.find(owner, upload_id)
            if upload is None or upload.status == "completed":
                return await self._done(upload)
            try:
                return await self._complete(upload, part_ids, md5)
            except InvalidRequest:  # perhaps since another server has completed it meanwhile
                done = await self._done(await self.find(owner, upload_id))
                if done is None:
                    raise
                return done

    async def cancel(self, owner: str, upload_id: str) -> StoredUpload | None:
        """End an upload, whose parts are removed; one that is cancelled already is answered as it is.

        Raises InvalidRequest where it has ended otherwise.
        """
        upload = await self.find(owner, upload_id)
        if upload is None or upload.status == "cancelled":
            return upload
        dead = await self.keeper.records.cancel_upload(owner, upload_id)
        if dead is None:
            return None
        self.keeper.remove_contents(dead)
        return await self.keeper.records.upload(owner, upload_id)

    async def _done(self, upload: StoredUpload | None) -> tuple[StoredUpload, StoredFile | None] | None:
        """A completed upload and its file; None for any other."""
        if upload is None or upload.file is None:
            return None
        return upload, await self.keeper.records.file(upload.owner, upload.file)

    async def _complete(
        self, upload: StoredUpload, part_ids: Sequence[str], md5: str | None
    ) -> tuple[StoredUpload, StoredFile | None] | None:
        stored = await self.keeper.records.parts(upload.owner, upload.id)
        chosen = None if stored is None else _chosen(upload, part_ids, stored)
        if chosen is None:
            return None
        async with self.keeper.copying(upload.num_bytes, "of this upload", with_md5=md5 is not None) as draft:
            await self._copy(chosen, draft)
            whole = await draft.end()
            if md5 is not None and md5.lower() != draft.md5:
                raise InvalidRequest(f"the parts' MD5 is {draft.md5}", param="md5")
            return await self._completed(upload, whole)

    async def _copy(self, parts: Sequence[StoredPart], draft: BlobDraft) -> None:
        for part in parts:
            try:
                async with aclosing(self.keeper.read_blob(part.blob, part.num_bytes)) as chunks:
                    async for chunk in chunks:
                        await draft.add(chunk)
            except BlobGone:
                raise InvalidRequest("the upload has ended meanwhile", param="upload_id") from None

    async def _completed(
        self, upload: StoredUpload, whole: WholeBlob
    ) -> tuple[StoredUpload, StoredFile | None] | None:
        new = NewFile(upload.purpose, upload.filename, upload.content_type, upload.file_expires_after_s)
        file = self.keeper.file_of(upload.owner, new, whole.num_bytes)
        records, most = self.keeper.records, self.keeper.limits.max_bytes_per_owner
        made = await records.complete_upload(upload.id, file, whole, most)
        completed = await records.upload(upload.owner, upload.id)
        if made is None or completed is None:
            return None
        stored, dead = made
        self.keeper.remove_contents(dead)
        return completed, stored


def _chosen(
    upload: StoredUpload, part_ids: Sequence[str], stored: Mapping[str, StoredPart]
) -> list[StoredPart]:
    """The parts of a file, in its order. Raises InvalidRequest."""
    for index, part_id in enumerate(part_ids):
        if part_id not in stored:
            reason = f"the upload has no part {shortened(repr(part_id))}"
            raise InvalidRequest(reason, param=f"part_ids[{index}]")
    if len({*part_ids}) != len(part_ids):
        raise InvalidRequest("a part is named twice", param="part_ids")
    parts = [stored[part_id] for part_id in part_ids]
    found = sum(part.num_bytes for part in parts)
    if found != upload.num_bytes:
        reason = f"the parts have {found} bytes, the upload was begun for {upload.num_bytes}"
        raise InvalidRequest(reason, param="part_ids")
    return parts
