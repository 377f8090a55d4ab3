"""A key as the server holds it: whose it is, how long it is valid, what it may ask for.

The secret itself is nowhere: only its SHA-256 hash, which is enough for 256 random bits.
"""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Literal, get_args

from phiserve.core import Detail

ID_LENGTH = 12
"""Hexadecimal digits of the hash by which people name a key."""

DEFAULT_OWNER = "default"
"""Owner of the one key that the setting `api_key` holds."""


Unit = Literal["requests", "tokens", "images"]
"""What is counted by the minute."""

UNITS: tuple[Unit, ...] = get_args(Unit)

Whose = Literal["key", "owner"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key or an owner may ask for; None where nothing limits it.

    Minutes are counted as `access.budgets` says.

    `max_detail`: how closely its requests may look at images at most; `low` < `auto` < `high`.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    images_per_minute: int | None = None
    concurrent_requests: int | None = None
    max_detail: Detail | None = None

    def per_minute(self, unit: Unit) -> int | None:
        """The limit on these."""
        match unit:
            case "requests":
                return self.requests_per_minute
            case "tokens":
                return self.tokens_per_minute
            case "images":
                return self.images_per_minute


@dataclass(frozen=True, slots=True)
class Account:
    """Whose use is counted together, by an id that counters know: one key's, or that of an owner's keys."""

    whose: Whose
    id: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Key:
    """A key. `digest`: SHA-256 of the secret. `expires_at`: seconds since 1970, None for never.

    `owner_limits` hold for all keys of the owner together.
    """

    owner: str
    digest: bytes = field(repr=False)
    expires_at: float | None = None
    limits: Limits = Limits()
    owner_limits: Limits = Limits()

    @property
    def accounts(self) -> tuple[Account, ...]:
        """All that its use is counted for; both limits hold."""
        own = Account("key", self.id, self.limits)
        if self.owner_limits == Limits():
            return (own,)
        # A hash: the owner's name may hold what separates the parts of a counter's name
        owner_id = f"owner-{hashlib.sha256(self.owner.encode()).hexdigest()[:32]}"
        return own, Account("owner", owner_id, self.owner_limits)

    @property
    def id(self) -> str:
        """The name by which people and counters know the key; it tells nothing of the secret."""
        return self.digest.hex()[:ID_LENGTH]

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and time.time() >= self.expires_at


def digest_of(secret: bytes) -> bytes:
    """SHA-256, fast on purpose: 256 random bits cannot be guessed, however fast the guessing."""
    return hashlib.sha256(secret).digest()
