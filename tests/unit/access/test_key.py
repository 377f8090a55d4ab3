"""A key tells nothing of its secret."""

import time

from phiserve.access.key import Key, digest_of


def test_id_and_secret() -> None:
    """People see the beginning of the hash; the hash itself is not shown where a key is printed."""
    key = Key("alice", digest_of(b"secret"))
    assert key.digest.hex().startswith(key.id)
    assert len(key.id) == 12
    assert "digest" not in repr(key)


def test_expiry() -> None:
    """Without a time it never ends."""
    now = time.time()
    assert [Key("a", b"", at).is_expired for at in (None, now + 60, now - 60)] == [False, False, True]
