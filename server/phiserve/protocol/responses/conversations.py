"""`/v1/conversations` on the wire: what makes and changes conversations, and what they look like."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Raw, Struct
from pydantic import Field

from phiserve.protocol.responses.items import Item
from phiserve.protocol.wire_model import RequestPart, bounded

MAX_NEW_ITEMS = 20
"""Items that may be added at a time, as OpenAI has it."""

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16, fail_fast=True),
]
"""What a client notes of a conversation, within OpenAI's limits."""


class NewConversation(RequestPart):
    """The body of `POST /v1/conversations`."""

    items: Annotated[tuple[Item, ...], bounded(MAX_NEW_ITEMS)] | None = None
    metadata: Metadata | None = None


class ChangedConversation(RequestPart):
    """The body of `POST /v1/conversations/{id}`: what it has instead."""

    metadata: Metadata | None


class NewItems(RequestPart):
    """The body of `POST /v1/conversations/{id}/items`."""

    items: Annotated[tuple[Item, ...], bounded(MAX_NEW_ITEMS, least=1)]


class ConversationObject(Struct, frozen=True):
    """A conversation; when it began, in seconds since 1970."""

    id: str
    created_at: int
    metadata: dict[str, str]
    object: Literal["conversation"] = "conversation"


class ConversationDeleted(Struct, frozen=True):
    """A conversation that is no longer stored."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class ItemList(Struct, frozen=True):
    """A page of items. The ids of the first and the last are empty where there is none."""

    data: list[Raw]
    first_id: str
    last_id: str
    has_more: bool
    object: Literal["list"] = "list"

    @classmethod
    def of(cls, items: Sequence[tuple[str, str]], *, has_more: bool) -> "ItemList":
        """Of ids and their items' JSON."""
        first, last = (items[0][0], items[-1][0]) if items else ("", "")
        return cls([Raw(payload.encode()) for _, payload in items], first, last, has_more)
