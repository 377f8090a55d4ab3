"""What becomes of a response in the store, from its beginning to its end."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from phiserve.api.answering import Deltas
from phiserve.api.responses.draft import Draft
from phiserve.api.responses.gathering import (
    Gathered,
    conversation_not_found,
    response_not_found,
)
from phiserve.api.responses.stopping import Stop
from phiserve.api.responses.writer import EventWriter, collect
from phiserve.api.streaming import Frames
from phiserve.errors import RequestError, StoreFailure
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.response import ResponseObject
from phiserve.store.interface import Store, StoredItem, StoredResponse

_LOG = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
"""How long the end of the server waits until responses that nobody has been given are removed."""

_LOST = "The response could not be kept: the store heard nothing of this server for too long; ask again"
"""Why there is no answer where nobody can have deleted the response, whose id its client does not know."""


class Keeper:
    """The store, and the responses in it that this process works on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._stops: dict[str, Callable[[], object]] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    def hold(self, response_id: str, stop: Callable[[], object] = lambda: None) -> None:
        """From now on this process works on a response; `stop`: what to do once nobody wants it any more."""
        self._stops[response_id] = stop

    def release(self, response_id: str) -> None:
        """It does no longer."""
        self._stops.pop(response_id, None)

    def stop(self, response_id: str) -> None:
        """A response was deleted or cancelled: nobody needs the work on it."""
        if (stop := self._stops.pop(response_id, None)) is not None:
            stop()

    async def renew(self) -> None:
        """Tell other servers what this one works on, and learn what they have ended. Raises StoreFailure."""
        if self._stops:
            for response_id in await self.store.renew([*self._stops]):
                self.stop(response_id)

    def remove(
        self, owner: str, response_id: str, unless_saved: "asyncio.Future[bool] | None" = None
    ) -> None:
        """Remove a response that nobody has been given, as soon as that can be done.

        `unless_saved`: its end on the way into the store, which is waited for; once that is there, it stays.
        """
        task = asyncio.create_task(self._remove(owner, response_id, unless_saved))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)

    async def close(self) -> None:
        """Wait for what is being removed."""
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=CLOSE_TIMEOUT_S)

    async def _remove(
        self, owner: str, response_id: str, unless_saved: "asyncio.Future[bool] | None"
    ) -> None:
        try:
            if unless_saved is not None and await unless_saved:
                return
        except RequestError as failure:
            _LOG.warning("The end of a response is not stored: %s", failure)
        finally:
            self.release(response_id)
        try:
            await self.store.delete_response(owner, response_id)
        except StoreFailure as failure:  # what nobody renews is removed by whoever finds it
            _LOG.warning("A response that nobody waits for is still stored: %s", failure)


class Keeping(Protocol):
    """What an answer tells the store about itself: `begin`, then `end` or `fail`, and `drop` in any case."""

    async def begin(self) -> None:
        """The engine is about to answer."""

    def wanted(self, deltas: Deltas) -> Deltas:
        """The answer's deltas, as long as anybody wants the response."""

    @property
    def is_gone(self) -> bool:
        """Whether the response was deleted, or given up, after which nothing of it is to be told."""

    async def end(self, response: ResponseObject) -> bool:
        """The answer is whole. The client may be told once this has returned, and is true."""

    async def fail(self, response: ResponseObject) -> None:
        """The answer failed, which the client has been shown the beginning of."""

    def drop(self) -> None:
        """Nothing comes any more. What has neither ended nor failed is not kept."""


class NotKept:
    """Of a response that is not stored."""

    async def begin(self) -> None:
        """Nothing."""

    def wanted(self, deltas: Deltas) -> Deltas:
        """All of them: it cannot be deleted."""
        return deltas

    is_gone = False

    async def end(self, response: ResponseObject) -> bool:
        """Nothing stands against it."""
        return True

    async def fail(self, response: ResponseObject) -> None:
        """Nothing."""

    def drop(self) -> None:
        """Nothing."""


class Kept:
    """Of a response that a client waits for.

    It is in the store from its beginning, so that the request's items, `own`, need not be held in memory
    until its end.
    """

    def __init__(self, keeper: Keeper, first: StoredResponse, own: Sequence[StoredItem]) -> None:
        self._keeper = keeper
        self._first = first
        self._own = own
        self._is_stored = False
        self._stop = Stop()
        self._ending: asyncio.Task[bool] | None = None
        self._is_over = False

    async def begin(self) -> None:
        """Store what it is an answer to. Raises StoreFailure; NotFound where its conversation is gone."""
        self._is_stored = True
        await save_begun(self._keeper.store, self._first, self._own)
        self._keeper.hold(self._first.id, self._stop.set)  # not before it can be renewed
        self._own = ()

    def wanted(self, deltas: Deltas) -> Deltas:
        """The deltas until the response is deleted, here or at another server."""
        return self._stop.each_until(deltas)

    @property
    def is_gone(self) -> bool:
        """Whether it was deleted, or another server took it for left alone."""
        return self._stop.is_set

    async def end(self, response: ResponseObject) -> bool:
        """Store the answer, unless the response is gone. Raises StoreFailure; NotFound as `save_begun`.

        What is on its way into the store gets there, with what a conversation gets of it, also where the
        client hangs up meanwhile: then the response stays, too.
        """
        self._ending = asyncio.ensure_future(save_ended(self._keeper.store, self._first, response))
        self._is_over = await asyncio.shield(self._ending)
        return self._is_over

    async def fail(self, response: ResponseObject) -> None:
        """Store that it failed, if that can be done: the client is told anyway."""
        if self._is_over:
            return
        try:
            self._is_over = await save_ended(self._keeper.store, self._first, response)
        except StoreFailure as failure:
            _LOG.warning("A response that failed is not stored: %s", failure)

    def drop(self) -> None:
        """Nothing comes any more."""
        if not self._is_stored:
            return
        self._is_stored = False
        if self._is_over:
            self._keeper.release(self._first.id)
        else:
            self._keeper.remove(self._first.owner, self._first.id, self._ending)


async def save_begun(store: Store, first: StoredResponse, own: Sequence[StoredItem] = ()) -> bool:
    """Store an unfinished response, and the request's own items unless they are already.

    Whether anybody wants it still: it may have been deleted or cancelled. Raises StoreFailure; NotFound where
    its conversation is gone.
    """
    is_saved = await store.save_response(first, own)
    if not is_saved:
        await _check_conversation(store, first)
    return is_saved


async def save_ended(store: Store, first: StoredResponse, response: ResponseObject) -> bool:
    """Store a response that has ended; its conversation gets the request's own items, and the answer's.

    False where it has another end: it was deleted or cancelled meanwhile, or another server took it for left
    alone, and removed or answered it. Raises as `save_begun`.
    """
    ended = ended_response(first, response)
    items = [StoredItem(item.id, encode_json(item).decode()) for item in response.output if ended.output]
    is_saved = await store.save_response(ended, items)
    if not is_saved:
        await _check_conversation(store, ended)
    return is_saved


async def _check_conversation(store: Store, response: StoredResponse) -> None:
    """Raises NotFound where the conversation of a response is gone."""
    name = response.conversation
    if name is not None and await store.conversation(response.owner, name) is None:
        raise conversation_not_found(name, param="conversation")


def begun_record(
    response: ResponseObject, owner: str, gathered: Gathered, request: str | None = None
) -> StoredResponse:
    """A response before its answer, as it is stored. `request`: what it takes to answer it elsewhere."""
    conversation = gathered.request.conversation
    return StoredResponse(
        id=response.id,
        owner=owner,
        created_at=response.created_at,
        status=response.status,
        payload=encode_json(response).decode(),
        request=request,
        context=gathered.context,
        output=(),
        conversation=None if conversation is None else conversation.id,
    )


def ended_response(first: StoredResponse, response: ResponseObject) -> StoredResponse:
    """A response that has ended, as it is stored.

    Of one that failed or was cancelled no item can be continued: a conversation gets nothing of it.
    """
    has_answer = response.status in ("completed", "incomplete")
    return replace(
        first,
        status=response.status,
        payload=encode_json(response).decode(),
        request=None,
        output=tuple(item.id for item in response.output) if has_answer else (),
        conversation=first.conversation if has_answer else None,
    )


async def kept_response(deltas: Deltas, draft: Draft, keeping: Keeping) -> ResponseObject:
    """The response as a whole, once it is stored."""
    try:
        async with aclosing(deltas):
            await keeping.begin()
            response = await collect(draft, keeping.wanted(deltas))
        if not keeping.is_gone and await keeping.end(response):
            return response
        raise StoreFailure(_LOST)
    finally:
        keeping.drop()


async def kept_frames(deltas: Deltas, writer: EventWriter, keeping: Keeping) -> Frames:
    """The events of one response; the last one comes once the response is stored."""
    try:
        async with aclosing(deltas):
            await keeping.begin()
            async for delta in keeping.wanted(deltas):
                if events := writer.feed(delta):
                    yield events
        if not keeping.is_gone:
            yield writer.end()
            if await keeping.end(writer.ended):
                yield writer.last()
                return
        raise response_not_found(writer.response_id) if writer.has_begun else StoreFailure(_LOST)
    except RequestError as error:
        if writer.has_begun:  # else the client is told of no response that it could ask for
            await keeping.fail(writer.failed(error))
        raise
    finally:
        keeping.drop()
