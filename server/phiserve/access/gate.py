"""Lets requests in by their key, and keeps each to what its key and its owner may ask for."""

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from phiserve.access.budgets import Budgets
from phiserve.access.key import Key
from phiserve.access.keyring import Keyring
from phiserve.access.visit import REFUSED, KeyVisit
from phiserve.errors import EngineEnded, RateLimitReached, RequestError

BATCH_SHARE = 0.5
"""What must be left of each limit per minute for a request of a batch to use any of it."""

_TRIED_AGAIN = (429, 503)
"""Statuses of errors after which a request of a batch, or in the background, is tried again."""


class Gate:
    """Knows all keys, and which of their requests are running. End it with `close`."""

    def __init__(self, keyring: Keyring, budgets: Budgets) -> None:
        self._keyring = keyring
        self._budgets = budgets
        self._running: Counter[str] = Counter()
        self._salt_secret = secrets.token_bytes(32)

    def start(self) -> None:
        """Begin to follow changes of the keys file."""
        self._keyring.watch()

    async def close(self) -> None:
        """End what `start` began, and the connections to Redis."""
        self._keyring.close()
        await self._budgets.close()

    def key_of(self, secret: bytes) -> Key | None:
        """The valid key with this secret; None is counted as a refusal."""
        key = self._keyring.find(secret)
        if key is None:
            REFUSED.labels("key").inc()
        return key

    def key_with_id(self, key_id: str) -> Key | None:
        """The valid key with this id: of a request that is answered after it came."""
        return self._keyring.find_by_id(key_id)

    def key_of_batch(self, owner: str, key_id: str | None) -> Key | None:
        """The valid key within whose limits an owner's batch is answered.

        The one of this id, which asked for it; another one of the owner's where that is not valid any more.
        """
        key = None if key_id is None else self._keyring.find_by_id(key_id)
        return key if key is not None and key.owner == owner else self._keyring.find_by_owner(owner)

    @asynccontextmanager
    async def enter(self, key: Key, *, is_tried_again: bool = False) -> AsyncIterator[KeyVisit]:
        """One request of this key, until its answer has ended. The visit must be begun.

        `is_tried_again`: where it ends in 429 or 503 before the engine had it. It has used nothing then, and
        was not refused. Raises RateLimitReached where too many requests of the key or its owner are running
        here. Other servers' are not counted: one that dies could not take its own back.
        """
        for account in key.accounts:
            limit = account.limits.concurrent_requests
            if limit is not None and self._running[account.id] >= limit:
                if not is_tried_again:
                    REFUSED.labels("concurrent").inc()
                reason = f"the {account.whose}'s limit is {limit} at once"
                raise RateLimitReached(f"Rate limit reached for concurrent requests: {reason}")
        leave = self._place([account.id for account in key.accounts])
        visit = KeyVisit(key, self._salt(key.owner), self._budgets, leave, is_tried_again=is_tried_again)
        async with _until_its_end(visit):
            yield visit

    def _place(self, ids: list[str]) -> Callable[[], None]:
        """Count one more that runs, for each of these accounts; what counts it no longer."""
        self._running.update(ids)

        def leave() -> None:
            """Once: the next call finds nothing left to give back."""
            while ids:
                account_id = ids.pop()
                self._running[account_id] -= 1
                if not self._running[account_id]:
                    del self._running[account_id]

        return leave

    @asynccontextmanager
    async def enter_in_batch(self, key: Key) -> AsyncIterator[KeyVisit]:
        """One request of a batch of this key, which has been begun, until its answer has ended.

        It counts for the limits per minute, not for those on requests at once; its prompt and images not at
        all where it ends in 429 or 503 before the engine had it, after which it is tried again. Raises as
        `KeyVisit.begin_in_batch`.
        """
        salt = self._salt(key.owner)
        visit = KeyVisit(key, salt, self._budgets, least_left=BATCH_SHARE, is_tried_again=True)
        await visit.begin_in_batch()
        async with _until_its_end(visit):
            yield visit

    def _salt(self, owner: str) -> str:
        """Equal for an owner while the process lives; nobody else can know it."""
        return hmac.digest(self._salt_secret, owner.encode(), hashlib.sha256).hex()


@asynccontextmanager
async def _until_its_end(visit: KeyVisit) -> AsyncIterator[None]:
    """End a visit; one that is to be tried again has used nothing."""
    try:
        yield
    except RequestError as error:
        is_passing = error.status in _TRIED_AGAIN and not isinstance(error, EngineEnded)
        if visit.is_tried_again and is_passing:
            await visit.give_back()
        raise
    finally:
        await visit.end()
