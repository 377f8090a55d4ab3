"""All valid keys, by the hashes of their secrets; read again when their file changes."""

import hmac
import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from phiserve.access.key import DEFAULT_OWNER, Key, digest_of
from phiserve.access.keys_file import KeysFile, read_keys_file
from phiserve.errors import StartupError

_LOG = logging.getLogger(__name__)

CHECK_INTERVAL_S = 1.0
"""How often the file is looked at; a revoked key is refused at most so much later."""

_Signature = tuple[int, int, int] | None
"""Modification time in ns, size and inode of the file; None where it can't be looked at."""


class Keyring:
    """Finds the key of a secret.

    `simple_secret` is the one key of the setting `api_key`; it has the owner "default" and no limits of its
    own. `file` holds keys with owners. Reads the file at once: raises StartupError.
    """

    def __init__(self, simple_secret: str | None = None, file: Path | None = None) -> None:
        secret = None if simple_secret is None else simple_secret.encode()
        self._simple_digest = None if secret is None else digest_of(secret)
        self._file = file
        self._signature = self._look()
        self._by_digest = _by_digest(self._read())
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None

    def find(self, secret: bytes) -> Key | None:
        """The valid key with this secret.

        One look-up, by a hash that a guesser does not control; the time it takes depends on no key.
        """
        digest = digest_of(secret)
        key = self._by_digest.get(digest)
        if key is None or not hmac.compare_digest(digest, key.digest) or key.is_expired:
            return None
        return key

    def find_by_id(self, key_id: str) -> Key | None:
        """The valid key with this id, which is no secret: whoever asks must have been let in before."""
        found = (key for key in self._by_digest.values() if key.id == key_id and not key.is_expired)
        return next(found, None)

    def find_by_owner(self, owner: str) -> Key | None:
        """The first valid key of an owner."""
        found = (key for key in self._by_digest.values() if key.owner == owner and not key.is_expired)
        return next(found, None)

    def watch(self) -> None:
        """Begin to read the file again when it changes, on a thread of its own; end it with `close`."""
        if self._file is not None and self._watcher is None:
            self._watcher = threading.Thread(target=self._keep_watching, name="phiserve-keys", daemon=True)
            self._watcher.start()

    def close(self) -> None:
        """End watching."""
        self._closing.set()
        if self._watcher is not None:
            self._watcher.join()

    def reread_if_changed(self) -> None:
        """Read the file again if it is not the one that was read.

        A broken one is logged once and changes nothing.
        """
        signature = self._look()
        if signature == self._signature:
            return
        self._signature = signature  # taken before reading: what changes meanwhile is read next time
        try:
            keys = self._read()
        except StartupError as error:
            _LOG.error("%s. The keys that were read before stay valid", error)
            return
        self._by_digest = _by_digest(keys)
        _LOG.info("The keys file was read again: %d keys", len(keys))

    def _keep_watching(self) -> None:
        while not self._closing.wait(CHECK_INTERVAL_S):
            self.reread_if_changed()

    def _read(self) -> tuple[Key, ...]:
        content = KeysFile(keys=()) if self._file is None else read_keys_file(self._file)
        keys = [entry.key(content.limits_of(entry.owner)) for entry in content.keys if entry.revoked is None]
        if self._simple_digest is not None:
            owner_limits = content.limits_of(DEFAULT_OWNER)
            keys.insert(0, Key(DEFAULT_OWNER, self._simple_digest, owner_limits=owner_limits))
        return tuple(keys)

    def _look(self) -> _Signature:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _by_digest(keys: Iterable[Key]) -> dict[bytes, Key]:
    return {key.digest: key for key in keys}
