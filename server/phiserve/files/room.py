"""The room of an owner that is kept for a content while it comes."""

from dataclasses import dataclass, field

from phiserve.files.blobs import SEGMENT_BYTES
from phiserve.files.limits import BESIDE_BYTES
from phiserve.store.file_records import FileRecords


@dataclass(slots=True)
class HeldRoom:
    """Room for the content of a `name`, of at most `max_bytes`, in what its `owner` may have in all.

    What was announced is kept from the beginning, what was not as it comes: before it is written anywhere.
    """

    records: FileRecords
    name: str
    owner: str
    max_bytes: int
    max_bytes_per_owner: int
    held_bytes: int = field(default=0, init=False)

    async def begin(self, announced_bytes: int) -> None:
        """The content is about to come, in a body of so many bytes if these were announced.

        Raises InvalidRequest where the owner has no room for it, or none at all.
        """
        least, wanted = (
            min(size, self.max_bytes) for size in (announced_bytes - BESIDE_BYTES, announced_bytes)
        )
        self.held_bytes = await self.records.begin_received(
            self.name, self.owner, max(0, least), wanted, self.max_bytes_per_owner
        )

    async def hold(self, num_bytes: int) -> None:
        """So many bytes of it have come. Raises InvalidRequest where the owner has no room for them."""
        if num_bytes <= self.held_bytes:
            return
        # Twice as much of a large one, so that the store is not asked for each of its segments
        wanted = num_bytes if num_bytes <= SEGMENT_BYTES else min(2 * num_bytes, self.max_bytes)
        self.held_bytes = await self.records.hold_room(
            self.name, self.owner, num_bytes, wanted, self.max_bytes_per_owner
        )
