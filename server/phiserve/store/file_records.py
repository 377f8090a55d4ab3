"""What is known of files and uploads, in a database: every call is one transaction.

Contents are kept elsewhere, by names; whoever calls writes and removes them in the order that `blobs` tells.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import InvalidRequest, StoreFailure
from phiserve.store import blobs, files, places, room, uploads
from phiserve.store.ahead import RenewedAhead
from phiserve.store.connections import Connections
from phiserve.store.files import FilePage, StoredFile
from phiserve.store.interface import Order
from phiserve.store.schema import at_start
from phiserve.store.tables import BLOBS
from phiserve.store.uploads import StoredPart, StoredUpload

_BATCH = 50
"""Things removed in one transaction: others' writes go between two."""


@dataclass(frozen=True, slots=True)
class WholeBlob:
    """A content that is wholly written, under its `name`. `digest`: its BLAKE3 hash in hexadecimal."""

    name: str
    digest: str
    num_bytes: int


class FileRecords:
    """Files and uploads of owners behind some connections. Every call raises StoreFailure.

    What an owner may have in all, `max_bytes_per_owner`, is held in the transaction that adds to it.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._ahead = RenewedAhead(BLOBS, BLOBS.c.status == blobs.WRITTEN)
        self._place: str | None = None

    def expected_place(self) -> str | None:
        """The marker that a place must have, as `places.expected` says: at the start, without an event loop.

        Raises StartupError.
        """
        with at_start(self._connections.location) as connection:
            return places.expected(connection)

    def settle_place(self, find: Callable[[str | None], str]) -> None:
        """Settle where this server keeps contents, as `places.settle` says. Otherwise the same."""
        with at_start(self._connections.location) as connection:
            self._place = places.settle(connection, find)

    async def known_place(self) -> str | None:
        """The marker of the place where contents are; None where none was settled."""
        return await self._connections.read(places.marker)

    async def begin_blob(self, name: str) -> None:
        """A content is about to be written; from now on it has to be renewed."""
        await self._connections.write(lambda connection: self._begin(connection, name))

    async def begin_received(
        self, name: str, owner: str, least: int, wanted: int, max_bytes_per_owner: int
    ) -> int:
        """The same for one that an owner sends, with room for it as `hold_room` keeps it."""

        async def work(connection: AsyncConnection) -> int:
            """In the owner's turn."""
            await self._begin(connection, name)
            return await room.hold(connection, owner, name, least, wanted, max_bytes_per_owner)

        return await self._connections.write(work, owner)

    async def hold_room(
        self, name: str, owner: str, least: int, wanted: int, max_bytes_per_owner: int
    ) -> int:
        """Keep more room for a content that an owner sends: `least` bytes in all, up to `wanted`.

        Those that are kept. Raises InvalidRequest where the owner does not have that room.
        """
        return await self._connections.write(
            lambda connection: room.hold(connection, owner, name, least, wanted, max_bytes_per_owner), owner
        )

    async def renew_blobs(self, names: Sequence[str]) -> None:
        """Say that contents are still being written."""
        await self._connections.write(lambda connection: blobs.renew(connection, names))

    async def give_up_blob(self, name: str) -> bool:
        """A content is not wanted. Whether its bytes are to be removed: not where a file has it."""
        return await self._connections.write(lambda connection: blobs.give_up(connection, name))

    async def give_up_stale_blobs(self, older_than_s: int) -> None:
        """Contents that nobody has renewed lately are not wanted."""
        await self._ahead.let_go(self._connections, older_than_s)
        await self._connections.write(lambda connection: blobs.give_up_stale(connection, older_than_s))

    async def dead_blobs(self, after: str = "", limit: int = 100) -> Sequence[str]:
        """Names of contents whose bytes are to be removed, behind `after` in their order."""
        return await self._connections.read(lambda connection: blobs.dead(connection, after, limit))

    async def forget_blob(self, name: str) -> None:
        """A content's bytes are removed."""
        await self._connections.write(lambda connection: blobs.forget(connection, name))

    async def add_file(self, file: StoredFile, whole: WholeBlob, max_bytes_per_owner: int) -> StoredFile:
        """Store a file with its content. Raises InvalidRequest where the owner has no room."""

        async def work(connection: AsyncConnection) -> StoredFile:
            """In the owner's turn, so that two files do not take the same room."""
            await room.check(connection, file.owner, whole.num_bytes, max_bytes_per_owner, whole.name)
            await files.add(connection, file, await _kept(connection, whole))
            return await _found(connection, file)

        return await self._connections.write(work, file.owner)

    async def file(self, owner: str, file_id: str) -> StoredFile | None:
        """A file."""
        return await self._connections.read(lambda connection: files.load(connection, owner, file_id))

    async def present(self, owner: str, ids: Collection[str]) -> set[str]:
        """Which of these are an owner's files, that have not expired."""
        return await self._connections.read(lambda connection: files.present(connection, owner, ids))

    async def page(
        self, owner: str, purpose: str | None, after: str | None, limit: int, order: Order
    ) -> FilePage | None:
        """A page of an owner's files; None where `after` is none of them."""
        return await self._connections.read(
            lambda connection: files.page(connection, owner, purpose, after, limit, order)
        )

    async def remove_file(self, owner: str, file_id: str) -> Sequence[str] | None:
        """Remove a file; names of contents whose bytes are to be removed. None where it was not there."""
        return await self._connections.write(
            lambda connection: files.remove(connection, owner, file_id), owner
        )

    async def create_upload(self, upload: StoredUpload, max_bytes_per_owner: int) -> None:
        """Begin an upload. Raises InvalidRequest where the owner has no room for it."""

        async def work(connection: AsyncConnection) -> None:
            """All or nothing."""
            await room.check(connection, upload.owner, upload.num_bytes, max_bytes_per_owner)
            await uploads.create(connection, upload)

        await self._connections.write(work, upload.owner)

    async def upload(self, owner: str, upload_id: str) -> StoredUpload | None:
        """An upload."""
        return await self._connections.read(lambda connection: uploads.load(connection, owner, upload_id))

    async def parts(self, owner: str, upload_id: str) -> dict[str, StoredPart] | None:
        """The parts of an upload by their ids; None where there is no such upload. Raises InvalidRequest."""

        async def work(connection: AsyncConnection) -> dict[str, StoredPart] | None:
            """From one state of the database."""
            upload = await uploads.pending(connection, owner, upload_id)
            return None if upload is None else await uploads.parts(connection, upload_id)

        return await self._connections.read(work)

    async def add_part(
        self, owner: str, upload_id: str, part_id: str, whole: WholeBlob, max_bytes_per_owner: int
    ) -> bool:
        """Add a part to an upload. Whether that was there.

        Raises InvalidRequest where it has ended, where its parts are too many or come to more than twice what
        it was begun for (a part may be sent again), or the owner has no room.
        """

        async def work(connection: AsyncConnection) -> bool:
            """In the owner's turn."""
            upload = await uploads.pending(connection, owner, upload_id)
            if upload is None:
                return False
            await uploads.check_part(connection, upload, whole.num_bytes)
            await room.check(connection, owner, whole.num_bytes, max_bytes_per_owner, whole.name)
            blob = await _kept(connection, whole)
            await uploads.add_part(connection, upload_id, part_id, blob, whole.num_bytes)
            return True

        return await self._connections.write(work, owner)

    async def complete_upload(
        self, upload_id: str, file: StoredFile, whole: WholeBlob, max_bytes_per_owner: int
    ) -> tuple[StoredFile, Sequence[str]] | None:
        """Make a file of an upload, which ends; also names of contents whose bytes are to be removed.

        An upload that expired after its parts were asked for can be completed still. None where there is no
        such upload. Raises InvalidRequest where it has ended, and where the owner has no room for a file that
        takes more than the upload's parts did.
        """

        async def work(connection: AsyncConnection) -> tuple[StoredFile, Sequence[str]] | None:
            """The parts go as the file comes."""
            upload = await uploads.load(connection, file.owner, upload_id)
            if upload is None:
                return None
            if upload.status in ("completed", "cancelled"):
                raise uploads.has_ended(upload)
            more = room.counted(whole.num_bytes) - await room.parts_bytes(connection, upload_id)
            if more > 0:
                await room.check(connection, file.owner, more, max_bytes_per_owner)
            blob = await _kept(connection, whole)  # before the parts go, one of which may have this content
            await files.add(connection, file, blob)
            dead = await uploads.end(connection, upload_id, "completed", file.id)
            return await _found(connection, file), dead

        return await self._connections.write(work, file.owner)

    async def cancel_upload(self, owner: str, upload_id: str) -> Sequence[str] | None:
        """End an upload; names of contents whose bytes are to be removed. None where it was not there.

        Raises InvalidRequest where it has ended.
        """

        async def work(connection: AsyncConnection) -> Sequence[str] | None:
            """Its parts go with it."""
            upload = await uploads.pending(connection, owner, upload_id)
            return None if upload is None else await uploads.end(connection, upload_id, "cancelled")

        return await self._connections.write(work, owner)

    async def remove_expired(self) -> None:
        """Remove files and uploads whose time is over; the bytes of their contents are to be removed then."""
        for remove in (files.remove_expired, uploads.remove_expired):
            while await self._connections.write(_batch(remove)) is not None:
                pass

    async def _begin(self, connection: AsyncConnection, name: str) -> None:
        await places.check(connection, self._place)
        await blobs.begin(connection, name)


def _batch(
    remove: Callable[[AsyncConnection, int], Awaitable[list[str] | None]],
) -> Callable[[AsyncConnection], Awaitable[list[str] | None]]:
    return lambda connection: remove(connection, _BATCH)


async def _kept(connection: AsyncConnection, whole: WholeBlob) -> int:
    """Raises StoreFailure where the content was given up: the database did not hear of it for too long."""
    key = await blobs.keep(connection, whole.name, whole.digest, whole.num_bytes)
    if key is None:
        raise StoreFailure("The file was given up while the database did not answer; send it again")
    return key


async def _found(connection: AsyncConnection, file: StoredFile) -> StoredFile:
    found = await files.load(connection, file.owner, file.id)
    if found is None:
        raise InvalidRequest("the file has expired already", param="expires_after")
    return found
