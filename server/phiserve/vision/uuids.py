"""Names that clients give their images: which image each stood for when it was last shown."""

import threading

from blake3 import blake3
from cachetools import LRUCache

from phiserve.core import ImagePlaceholder
from phiserve.errors import InvalidRequest

MAX_UUIDS = 4096
"""Names that are remembered, of all owners; the longest unused are forgotten first."""

_REASON = "this uuid stood for an image with other bytes: give each image one of its own, or leave it out"


class KnownUuids:
    """Holds every `uuid` to its image, for as long as it is remembered.

    vLLM would answer about the image that it has under the name, whatever is sent. Here images are kept by
    their bytes, and a name that now stands for other bytes is a mistake that the client is told of. Names
    belong to their owner: they are told apart by the cache salt. Methods may be called on any thread.
    """

    def __init__(self) -> None:
        self._digests: LRUCache[bytes, str] = LRUCache(MAX_UUIDS)
        self._lock = threading.Lock()

    def check(self, placeholder: ImagePlaceholder, digest: str, cache_salt: str | None) -> None:
        """Remember an image's digest by its name, if it has one. Raises InvalidRequest at the name."""
        if not placeholder.uuid:
            return
        name = _key(placeholder.uuid, cache_salt)
        with self._lock:
            known = self._digests.setdefault(name, digest)
            self._digests[name] = known  # used just now
        if known != digest:
            raise InvalidRequest(_REASON, param=placeholder.uuid_param)


def _key(uuid: str, cache_salt: str | None) -> bytes:
    """A few bytes, however long the name is."""
    key = blake3((cache_salt or "").encode()).digest()
    return blake3(uuid.encode(errors="surrogatepass"), key=key).digest()
