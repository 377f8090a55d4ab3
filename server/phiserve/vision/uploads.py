"""Hashes of uploaded files that were read before: shown again, they are read only for their pixels."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from cachetools import LRUCache

MAX_KNOWN_UPLOADS = 4096
"""Number of contents whose hashes are remembered; the longest unused are forgotten first."""

_Key = tuple[str, str | None]


class KnownUploads:
    """Hashes by the names of contents, each for its owner's cache salt. To be used in one event loop."""

    def __init__(self) -> None:
        self._digests: LRUCache[_Key, str] = LRUCache(MAX_KNOWN_UPLOADS)
        self._reading: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    def digest(self, content: str, cache_salt: str | None) -> str | None:
        """The hash of a content that was read before, if it is still known."""
        return self._digests.get((content, cache_salt))

    def remember(self, content: str, cache_salt: str | None, digest: str) -> None:
        """A content was read."""
        self._digests[content, cache_salt] = digest

    @asynccontextmanager
    async def turn(self, content: str, cache_salt: str | None) -> AsyncIterator[None]:
        """One at a time reads a content: whoever waited knows it then."""
        lock = self._reading.setdefault((content, cache_salt), asyncio.Lock())
        async with lock:
            yield
