"""Lets requests in by their key, and keeps each to what its key may ask for."""

import hashlib
import hmac
import math
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from prometheus_client import Counter as Metric

from phiserve.access.budgets import Budgets, Standing, Unit, limit_reached
from phiserve.access.key import Key
from phiserve.access.keyring import Keyring
from phiserve.core import ImagePlaceholder, TokenCounts
from phiserve.errors import InvalidRequest, RateLimitReached

REFUSED = Metric("phiserve_access_refused", "Requests refused for their key or its limits.", ["reason"])

_DETAILS = ("low", "auto", "high")
"""How closely to look, the cheapest first."""


class Visit:
    """One request, from its head to the end of its answer; this one without a key: all is allowed.

    `owner` is whose request it is, `cache_salt` what separates the owner's cached prompts and images from
    those of others; both are None without keys.
    """

    owner: str | None = None
    cache_salt: str | None = None

    async def take_images(self, images: Sequence[ImagePlaceholder]) -> None:
        """Check and count the images of the request, before any is fetched or decoded.

        Raises InvalidRequest for one that is to be looked at more closely than the key allows and for more
        images than a minute has, RateLimitReached for more than are left.
        """

    async def take_prompt(self, num_tokens: int) -> None:
        """Count the prompt's tokens, image tokens among them.

        Raises InvalidRequest for more than a minute has, RateLimitReached for more than are left.
        """

    def answering(self, counts: Callable[[], TokenCounts]) -> None:
        """From now on `counts` tells the tokens of the answer, which are charged when the visit ends."""


class KeyVisit(Visit):
    """One request with a key, kept to what the key may ask for. Make it with `Gate.enter`."""

    def __init__(self, key: Key, cache_salt: str, budgets: Budgets) -> None:
        self.owner = key.owner
        self.cache_salt = cache_salt
        self._key_id = key.id
        self._limits = key.limits
        self._budgets = budgets
        self._standings: dict[Unit, Standing] = {}
        self._counts: Callable[[], TokenCounts] | None = None

    async def begin(self) -> None:
        """Count the request. Raises RateLimitReached, also where no token is left for its prompt."""
        await self._take("requests", self._limits.requests_per_minute, 1)
        if (limit := self._limits.tokens_per_minute) is not None:
            standing = self._standings["tokens"] = await self._budgets.standing(self._key_id, "tokens", limit)
            if not standing.remaining:
                raise _counted("tokens", limit_reached("tokens", standing, 1))

    async def take_images(self, images: Sequence[ImagePlaceholder]) -> None:
        """Check and count the images. See `Visit.take_images`."""
        most = self._limits.max_detail
        for image in images:
            if most is not None and _DETAILS.index(image.detail) > _DETAILS.index(most):
                REFUSED.labels("detail").inc()
                reason = f"the key allows {most!r} at most, and the image asks for {image.detail!r}"
                raise InvalidRequest(reason, param=f"{image.param}.detail")
        limit = self._limits.images_per_minute
        if limit is not None and len(images) > limit:
            reason = f"the request has {len(images)} images; the key's limit is {limit} per minute"
            raise InvalidRequest(reason, param=images[limit].param, code="too_many_images")
        await self._take("images", limit, len(images))

    async def take_prompt(self, num_tokens: int) -> None:
        """Count the prompt's tokens. See `Visit.take_prompt`."""
        limit = self._limits.tokens_per_minute
        if limit is not None and num_tokens > limit:
            reason = f"the prompt has {num_tokens} tokens; the key's limit is {limit} per minute"
            raise InvalidRequest(reason, param="messages")
        await self._take("tokens", limit, num_tokens)

    def answering(self, counts: Callable[[], TokenCounts]) -> None:
        """Remember how the answer's tokens are counted. See `Visit.answering`."""
        self._counts = counts

    async def end(self) -> None:
        """Charge the answer's tokens, however the answer ended, even beyond what is left."""
        limit = self._limits.tokens_per_minute
        if limit is not None and self._counts is not None and (amount := self._counts().completion):
            await self._budgets.charge(self._key_id, "tokens", limit, amount)

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-…` as OpenAI sends them, for the limits that the key has."""
        headers: dict[str, str] = {}
        for unit, standing in self._standings.items():
            if unit != "images":
                headers[f"x-ratelimit-limit-{unit}"] = str(standing.limit)
                headers[f"x-ratelimit-remaining-{unit}"] = str(standing.remaining)
                headers[f"x-ratelimit-reset-{unit}"] = duration_text(standing.reset_s)
        return headers

    async def _take(self, unit: Unit, limit: int | None, amount: int) -> None:
        if limit is None or not amount:
            return
        try:
            self._standings[unit] = await self._budgets.take(self._key_id, unit, limit, amount)
        except RateLimitReached as refusal:
            self._standings[unit] = await self._budgets.standing(self._key_id, unit, limit)
            raise _counted(unit, refusal) from None


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

    @asynccontextmanager
    async def enter(self, key: Key) -> AsyncIterator[KeyVisit]:
        """One request of this key, until its answer has ended. The visit must be begun.

        Raises RateLimitReached where too many requests of the key are running here. Other servers' are not
        counted: one that dies could not take its own back.
        """
        limit = key.limits.concurrent_requests
        if limit is not None and self._running[key.id] >= limit:
            reason = f"Rate limit reached for concurrent requests: the key's limit is {limit} at once"
            raise _counted("concurrent", RateLimitReached(reason))
        self._running[key.id] += 1
        visit = KeyVisit(key, self._salt(key.owner), self._budgets)
        try:
            yield visit
        finally:
            self._running[key.id] -= 1
            if not self._running[key.id]:
                del self._running[key.id]
            await visit.end()

    def _salt(self, owner: str) -> str:
        """Equal for an owner while the process lives; nobody else can know it."""
        return hmac.digest(self._salt_secret, owner.encode(), hashlib.sha256).hex()


def _counted(reason: str, refusal: RateLimitReached) -> RateLimitReached:
    REFUSED.labels(reason).inc()
    return refusal


def duration_text(seconds: float) -> str:
    """A duration as OpenAI writes it: `0s`, `20ms`, `1.5s`, `6m0s`; rounded up to milliseconds."""
    milliseconds = math.ceil(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{minutes}m{text}" if minutes else text
