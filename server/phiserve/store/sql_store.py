"""The store in a database: every call is one transaction, in SQLite or PostgreSQL."""

from collections.abc import Sequence
from contextlib import suppress

from phiserve.errors import StoreFailure
from phiserve.store import clearing, conversations, responses
from phiserve.store import items as item_rows
from phiserve.store.ahead import RenewedAhead
from phiserve.store.batch_records import BatchRecords
from phiserve.store.connections import Connections
from phiserve.store.file_records import FileRecords
from phiserve.store.interface import (
    UNFINISHED,
    Admit,
    Order,
    Page,
    StoredConversation,
    StoredItem,
    StoredResponse,
    admit_all,
)
from phiserve.store.items import PageAsked
from phiserve.store.limits import StoreLimits
from phiserve.store.tables import RESPONSES, size


class SqlStore:
    """A store (see `interface.Store`) behind some connections. To be used in one event loop.

    `files`, `batches`: what is known of these, in the same database. `file`: SQLite's; None for PostgreSQL.
    """

    def __init__(self, connections: Connections, limits: StoreLimits) -> None:
        self._connections = connections
        self._limits = limits
        self._max_of_conversation = limits.max_bytes_of_conversation
        self.files = FileRecords(connections)
        self.batches = BatchRecords(connections)
        self.file = connections.file
        self._ahead = RenewedAhead(RESPONSES, RESPONSES.c.status.in_(UNFINISHED))
        self._at_most: dict[str, int] = {}
        """Owner -> what they had stored when it was counted, and all that this server has stored since."""

    async def save_response(self, response: StoredResponse, items: Sequence[StoredItem]) -> bool:
        """Insert a response, or replace it with all it refers to."""
        owner = response.owner
        is_saved = await self._connections.write(
            lambda connection: responses.save(connection, response, items, self._max_of_conversation), owner
        )
        if is_saved:
            added = size(response.payload, response.request, *(item.payload for item in items))
            await self._make_room(owner, added, response.id, response.conversation)
        return is_saved

    async def response(self, owner: str, response_id: str) -> StoredResponse | None:
        """A response."""
        return await self._connections.read(lambda connection: responses.load(connection, owner, response_id))

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """Remove a response, and the items that nothing else refers to. Whether it was there."""
        return await self._connections.write(
            lambda connection: responses.delete_one(connection, owner, response_id), owner
        )

    async def renew(self, response_ids: Sequence[str]) -> frozenset[str]:
        """Say that this server works on these. Those that are to be ended."""
        return await self._connections.write(lambda connection: responses.renew(connection, response_ids))

    async def claim_unfinished(self, older_than_s: int, limit: int) -> Sequence[StoredResponse]:
        """Unfinished responses that no server has renewed lately, now this one's."""
        await self._ahead.let_go(self._connections, older_than_s)
        return await self._connections.write(
            lambda connection: responses.claim(connection, older_than_s, limit)
        )

    async def items(
        self, owner: str, item_ids: Sequence[str], admit: Admit = admit_all
    ) -> Sequence[StoredItem]:
        """Items by their ids, in that order; those that are gone are left out."""
        return await self._connections.read(
            lambda connection: item_rows.load_by_ids(connection, owner, item_ids, admit)
        )

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
        asked = PageAsked(after, limit, order, admit, max_bytes)
        return await self._connections.read(
            lambda connection: responses.input_items(connection, owner, response_id, asked)
        )

    async def create_conversation(
        self, conversation: StoredConversation, items: Sequence[StoredItem]
    ) -> None:
        """Insert a conversation that begins with these items."""
        owner = conversation.owner
        await self._connections.write(
            lambda connection: conversations.create(
                connection, conversation, items, self._max_of_conversation
            ),
            owner,
        )
        added = size(conversation.metadata, *(item.payload for item in items))
        await self._make_room(owner, added, conversation.id)

    async def conversation(self, owner: str, conversation_id: str) -> StoredConversation | None:
        """A conversation."""
        return await self._connections.read(
            lambda connection: conversations.load(connection, owner, conversation_id)
        )

    async def update_conversation(self, owner: str, conversation_id: str, metadata: str) -> bool:
        """Replace its metadata. Whether it was there."""
        return await self._connections.write(
            lambda connection: conversations.update_metadata(connection, owner, conversation_id, metadata),
            owner,
        )

    async def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove a conversation; responses and their items stay. Whether it was there."""
        return await self._connections.write(
            lambda connection: conversations.delete_one(connection, owner, conversation_id), owner
        )

    async def add_items(self, owner: str, conversation_id: str, items: Sequence[StoredItem]) -> bool:
        """Append items to a conversation. Whether it was there."""
        was_there = await self._connections.write(
            lambda connection: conversations.add(
                connection, owner, conversation_id, items, self._max_of_conversation
            ),
            owner,
        )
        if was_there:
            await self._make_room(owner, size(*(item.payload for item in items)), conversation_id)
        return was_there

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
        asked = PageAsked(after, limit, order, admit, max_bytes)
        return await self._connections.read(
            lambda connection: conversations.page(connection, owner, conversation_id, asked)
        )

    async def conversation_item(
        self, owner: str, conversation_id: str, item_id: str, admit: Admit = admit_all
    ) -> StoredItem | None:
        """One item of a conversation."""
        return await self._connections.read(
            lambda connection: conversations.item(connection, owner, conversation_id, item_id, admit)
        )

    async def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Take an item out of a conversation. Whether it was there."""
        return await self._connections.write(
            lambda connection: conversations.remove_item(connection, owner, conversation_id, item_id), owner
        )

    async def clear_away(self) -> int:
        """Remove what is older than the limit, and each owner's oldest beyond the size limit. How many."""
        removed = await clearing.clear_old(self._connections, self._limits)
        removed += await clearing.clear_large(self._connections, self._limits)
        await self.batches.remove_lines_of_ended()
        self._at_most.clear()
        await clearing.give_back_pages(self._connections)
        return removed

    async def close(self) -> None:
        """Close all connections."""
        await self._connections.close()

    async def _make_room(self, owner: str, added: int, *stored: str | None) -> None:
        """Remove an owner's oldest where what was just stored is too much."""
        most = self._limits.max_bytes_per_owner
        with suppress(StoreFailure):  # it is stored all the same
            if owner in self._at_most:
                self._at_most[owner] += added
            else:
                self._at_most[owner] = await self._used_bytes(owner)
            if self._at_most[owner] > most:
                await clearing.clear_owner(self._connections, self._limits, owner, stored)
                self._at_most[owner] = await self._used_bytes(owner)

    async def _used_bytes(self, owner: str) -> int:
        return await self._connections.read(lambda connection: clearing.used_bytes(connection, owner))
