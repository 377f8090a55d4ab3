"""What a store of responses and conversations can do.

Payloads are JSON texts that the store never reads. Every call names the owner (`""` where there are no
keys): what another owner has does not exist. Times are whole seconds since 1970. Every call raises
StoreFailure where the database does not answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

Order = Literal["asc", "desc"]

UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")
"""What a response is called of which there may be more."""

Admit = Callable[[int], object]
"""Is told how many bytes of payloads are about to be loaded, before any is; it may raise."""


def admit_all(_num_bytes: int) -> None:
    """For whoever has room for anything."""


BatchStatus = Literal[
    "validating",
    "in_progress",
    "finalizing",
    "cancelling",
    "completed",
    "failed",
    "expired",
    "cancelled",
]

UNENDED: tuple[BatchStatus, ...] = ("validating", "in_progress", "finalizing", "cancelling")
"""What a batch is called that a server works on, or will."""


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item of an input, an output or a conversation; `payload` is its JSON, with its id."""

    id: str
    payload: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as it stands.

    `payload`: the response object's JSON. `request`: the request's JSON, kept while the response is
    unfinished, so that it can be answered after a restart; else None. `context`: ids of the items before its
    answer, earlier answers included, in their order; `output`: ids of its own items.
    """

    id: str
    owner: str
    created_at: int
    status: Status
    payload: str
    request: str | None
    context: tuple[str, ...]
    output: tuple[str, ...]
    conversation: str | None


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation; `metadata` is JSON."""

    id: str
    owner: str
    created_at: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some items in the order asked for; `has_more`: whether others follow.

    It ends before the item that would make it larger than the bytes asked for, but has one at least.
    """

    items: tuple[StoredItem, ...]
    has_more: bool


class Store(Protocol):
    """Keeps responses and conversations. What a call has returned from is durable."""

    async def save_response(self, response: StoredResponse, items: Sequence[StoredItem]) -> bool:
        """Insert a response, or replace it with all it refers to, in one transaction.

        `items`: those that are new. Of an unfinished one it says that a server works on it. A finished one
        that names a conversation appends its new items (context first, then output) to that. False, with
        nothing changed, where the stored one is finished or deleted already (cancelled meanwhile), or the
        conversation is gone. Raises InvalidRequest for a new one whose conversation has no room.
        """

    async def response(self, owner: str, response_id: str) -> StoredResponse | None:
        """A response."""

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """Remove a response, and the items that nothing else refers to. Whether it was there."""

    async def renew(self, response_ids: Sequence[str]) -> frozenset[str]:
        """Say that this server works on these. Those that are to be ended: cancelled or deleted meanwhile."""

    async def claim_unfinished(self, older_than_s: int, limit: int) -> Sequence[StoredResponse]:
        """Unfinished responses that no server has renewed lately, now this one's.

        Never the same one to two servers.
        """

    async def items(
        self, owner: str, item_ids: Sequence[str], admit: Admit = admit_all
    ) -> Sequence[StoredItem]:
        """Items by their ids, in that order; those that are gone are left out."""

    async def input_items(
        self,
        owner: str,
        response_id: str,
        after: str | None,
        limit: int,
        order: Order,
        admit: Admit = admit_all,
        max_bytes: int | None = None,
    ) -> Page | None:
        """A page of a response's context; None where there is no such response."""

    async def create_conversation(
        self, conversation: StoredConversation, items: Sequence[StoredItem]
    ) -> None:
        """Insert a conversation that begins with these items. Raises InvalidRequest for too much."""

    async def conversation(self, owner: str, conversation_id: str) -> StoredConversation | None:
        """A conversation."""

    async def update_conversation(self, owner: str, conversation_id: str, metadata: str) -> bool:
        """Replace its metadata. Whether it was there."""

    async def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove a conversation; responses and their items stay. Whether it was there."""

    async def add_items(self, owner: str, conversation_id: str, items: Sequence[StoredItem]) -> bool:
        """Append items to a conversation. Whether it was there. Raises InvalidRequest for too much."""

    async def conversation_items(
        self,
        owner: str,
        conversation_id: str,
        after: str | None,
        limit: int | None,
        order: Order,
        admit: Admit = admit_all,
        max_bytes: int | None = None,
    ) -> Page | None:
        """A page of a conversation's items, all of them without a limit; None where it is not there."""

    async def conversation_item(
        self, owner: str, conversation_id: str, item_id: str, admit: Admit = admit_all
    ) -> StoredItem | None:
        """One item of a conversation."""

    async def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Take an item out of a conversation. Whether it was there."""

    async def clear_away(self) -> int:
        """Remove what is older than the limit, and each owner's oldest beyond the size limit. How many."""

    async def close(self) -> None:
        """Close all connections."""
