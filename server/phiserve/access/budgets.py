"""Counts what each key and owner has used in its minute: in memory, or in Redis, which several servers share.

Fixed windows: a minute begins with the first use after the last one ended, and all of the budget is there
again when it ends. So it is known when a refused request will succeed, which sliding windows don't tell.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.errors import ConfigurationError, StorageError
from prometheus_client import Counter

from phiserve.access.key import Unit, Whose
from phiserve.errors import RateLimitReached, StartupError

_LOG = logging.getLogger(__name__)
_Result = TypeVar("_Result")

WINDOW_S = 60
"""Seconds of a window: limits are per minute."""

STORE_TIMEOUT_S = 1.0
"""Seconds that Redis gets for an answer. Generous: a busy event loop makes it look slower than it is."""

STORE_PAUSE_S = 5.0
"""Seconds for which Redis is not asked again after it failed, so that requests do not wait for it in turn."""

MAX_RETRY_AFTER_S = 60
"""The openai client obeys no longer `Retry-After`. No window is longer."""

_SCHEMES = ("redis://", "rediss://", "redis+unix://")

_WRONG_URL = f"Setting limits_url: a URL like redis://host:6379/0 is expected ({', '.join(_SCHEMES)})"

STORE_FAILURES = Counter(
    "phiserve_limits_store_failures", "Times that Redis did not answer, and this server counted alone."
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a minute's budget is left. All of it is there again at `resets_at`, seconds since 1970."""

    limit: int
    remaining: int
    resets_at: float

    @property
    def reset_s(self) -> float:
        """Seconds until the reset; 0 where nothing has been used."""
        return max(0.0, self.resets_at - time.time()) if self.remaining < self.limit else 0.0


class _Counters:
    """The counters of one storage: its ends of windows are asked for once a window, the counts each time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._ends: dict[str, float] = {}

    async def look(self, name: str) -> tuple[int, float]:
        """What was used of a counter in its window, and when that ends, in seconds since 1970."""
        used = await self._storage.get(name)
        return used, await self._end_of(name) if used else time.time() + WINDOW_S

    async def add(self, name: str, amount: int) -> tuple[int, float]:
        """Use `amount`; what was used with it, and when the window ends."""
        used = await self._storage.incr(name, WINDOW_S, amount)
        if used == amount:  # the first of a new window
            self._ends.pop(name, None)
        return used, await self._end_of(name)

    async def give_back(self, name: str, amount: int) -> None:
        """Use `amount` less. A window that has ended meanwhile does not begin below zero."""
        if await self._storage.incr(name, WINDOW_S, -amount) < 0:
            await self._storage.incr(name, WINDOW_S, amount)

    async def _end_of(self, name: str) -> float:
        now = time.time()
        end = self._ends.get(name, 0.0)
        if not now < end <= now + WINDOW_S:
            end = await self._storage.get_expiry(name)
            if end > now + WINDOW_S + 1:  # the clock was put back: the window would last too long
                await self._storage.clear(name)
                end = now + WINDOW_S
            self._ends[name] = end
        return end


class Budgets:
    """The counters of keys and owners. `url`: of a Redis, None for memory. Raises StartupError for others.

    While Redis does not answer, each server counts by itself: limits protect the capacity of servers, and a
    server without its Redis still has that. Refusing everything would make Redis a second thing that must
    never be down; counting nothing would let one client in with everything.
    """

    def __init__(self, url: str | None = None) -> None:
        self._own = _Counters(MemoryStorage())
        self._store = None if url is None else _redis(url)
        self._shared = None if self._store is None else _Counters(self._store)
        self._shared_again_at = 0.0

    async def standing(self, account_id: str, unit: Unit, limit: int) -> Standing:
        """What is left, without using any."""
        name = _name(account_id, unit, limit)
        used, end = await self._ask(lambda counters: counters.look(name))
        return Standing(limit, max(0, limit - used), end)

    async def take(self, account_id: str, unit: Unit, limit: int, amount: int) -> Standing:
        """Use `amount`; raises RateLimitReached where less is left, and then leaves it to others.

        One more of something is just counted: where it is too much, nothing is left for others either.
        """
        if amount > 1:
            standing = await self.standing(account_id, unit, limit)
            if amount > standing.remaining:
                raise limit_reached(unit, standing, amount)
        name = _name(account_id, unit, limit)
        used, end = await self._ask(lambda counters: counters.add(name, amount))
        if used > limit:
            if amount > 1:  # others came between the look and the use
                await self._ask(lambda counters: counters.give_back(name, amount))
            raise limit_reached(unit, Standing(limit, max(0, limit - used + amount), end), amount)
        return Standing(limit, limit - used, end)

    async def charge(self, account_id: str, unit: Unit, limit: int, amount: int) -> None:
        """Use `amount` even where less is left."""
        name = _name(account_id, unit, limit)
        await self._ask(lambda counters: counters.add(name, amount))

    async def give_back(self, account_id: str, unit: Unit, limit: int, amount: int) -> None:
        """Undo a `take`, where another limit refused the same request."""
        name = _name(account_id, unit, limit)
        await self._ask(lambda counters: counters.give_back(name, amount))

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._store is not None:
            bridge: Any = self._store.bridge  # of redis-py, which limits' own type does not say
            await bridge.get_connection().aclose()

    async def _ask(self, question: Callable[[_Counters], Awaitable[_Result]]) -> _Result:
        """Ask Redis, or the counters of this server where there is no Redis or it has failed."""
        if self._shared is not None and time.monotonic() >= self._shared_again_at:
            try:
                async with asyncio.timeout(STORE_TIMEOUT_S):
                    return await question(self._shared)
            except (StorageError, TimeoutError) as error:
                STORE_FAILURES.inc()
                self._shared_again_at = time.monotonic() + STORE_PAUSE_S
                reason = str(error) or f"no answer within {STORE_TIMEOUT_S:g} s"
                _LOG.warning("Redis (limits_url) failed; this server counts alone for now: %s", reason)
        return await question(self._own)


def _name(account_id: str, unit: Unit, limit: int) -> str:
    """The counter's name in a storage; a changed limit begins to count anew."""
    return RateLimitItemPerSecond(limit, WINDOW_S, namespace="phiserve").key_for(account_id, unit)


def limit_reached(unit: Unit, standing: Standing, amount: int, whose: Whose = "key") -> RateLimitReached:
    """The refusal of `amount`, which says when all of the budget is there again."""
    # A whole second more than what is left: Redis rounds its own answer, to the nearest second
    retry_after_s = min(MAX_RETRY_AFTER_S, math.floor(standing.reset_s) + 1)
    reason = (
        f"Rate limit reached for {unit}: the {whose}'s limit is {standing.limit} per minute, of which "
        f"{standing.remaining} are left, and the request needs {amount}; try again in {retry_after_s} s"
    )
    return RateLimitReached(reason, retry_after_s=retry_after_s)


def _redis(url: str) -> RedisStorage:
    """The storage of a Redis at this URL, which is not asked yet. Raises StartupError."""
    if not url.startswith(_SCHEMES):
        raise StartupError(_WRONG_URL)
    from redis.asyncio.retry import Retry  # not everybody's start waits for its import
    from redis.backoff import NoBackoff

    options: dict[str, Any] = {  # redis-py's own
        "socket_timeout": STORE_TIMEOUT_S,
        "socket_connect_timeout": STORE_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        return RedisStorage(
            f"async+{url}", implementation="redispy", wrap_exceptions=True, key_prefix="phiserve", **options
        )
    except (ConfigurationError, ValueError):  # whose messages may repeat the URL's password
        raise StartupError(_WRONG_URL) from None
