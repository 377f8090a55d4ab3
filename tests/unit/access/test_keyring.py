"""Keys are found by their secrets, and the file is followed."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from key_files import secret_of, write_keys, write_two_keys
from phiserve.access import keyring as module
from phiserve.access.key import ID_LENGTH, digest_of
from phiserve.access.keyring import Keyring
from phiserve.errors import StartupError

WAIT_S = 30.0


def owner_of(keyring: Keyring, secret: str) -> str | None:
    """Whose secret this is."""
    key = keyring.find(secret.encode())
    return None if key is None else key.owner


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_both_kinds_of_keys(tmp_path: Path) -> None:
    """The simple one and those with owners are valid together."""
    keyring = Keyring("simple-日本", write_keys(tmp_path / "k", alice={}, bob={"revoked": "2026-01-01"}))
    assert owner_of(keyring, "simple-日本") == "default"
    assert owner_of(keyring, secret_of("alice")) == "alice"
    assert [owner_of(keyring, secret) for secret in (secret_of("bob"), "", "x", "simple")] == [None] * 4


def test_expired(tmp_path: Path) -> None:
    """From its moment on it is refused, without the file being read again."""
    past, future = "2020-01-01", "2999-01-01"
    keyring = Keyring(None, write_keys(tmp_path / "k", alice={"expires": past}, bob={"expires": future}))
    assert [owner_of(keyring, secret_of(owner)) for owner in ("alice", "bob")] == [None, "bob"]


def test_by_id(tmp_path: Path) -> None:
    """Found while it is valid, and by the whole id alone."""
    expired: dict[str, object] = {"expires": "2020-01-01"}
    keyring = Keyring("simple", write_keys(tmp_path / "k", alice={}, bob=expired))
    alice = keyring.find(secret_of("alice").encode())
    assert alice is not None
    assert keyring.find_by_id(alice.id) is alice
    bob = digest_of(secret_of("bob").encode()).hex()[:ID_LENGTH]
    assert [keyring.find_by_id(key_id) for key_id in ("", alice.id[:-1], bob)] == [None] * 3


def test_by_owner(tmp_path: Path) -> None:
    """The first that is valid."""
    expired: dict[str, object] = {"expires": "2020-01-01"}
    keyring = Keyring("simple", write_two_keys(tmp_path / "k", "alice", expired, {}))
    second = keyring.find(secret_of("second").encode())
    assert second is not None
    assert keyring.find_by_owner("alice") is second
    assert keyring.find_by_owner("bob") is None


def test_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file, in one step or in place, is read without a restart; so is one that comes back."""
    monkeypatch.setattr(module, "CHECK_INTERVAL_S", 0.01)
    file = write_keys(tmp_path / "k", alice={})
    keyring = Keyring(None, file)
    keyring.watch()
    os.replace(write_keys(tmp_path / "new", bob={}), file)
    wait_until(lambda: owner_of(keyring, secret_of("bob")) == "bob")
    assert owner_of(keyring, secret_of("alice")) is None
    write_keys(file, carol={})
    wait_until(lambda: owner_of(keyring, secret_of("carol")) == "carol")
    keyring.close()
    keyring.close()


def test_a_broken_file_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last good one stays valid; the fault is logged once, whatever the number of looks."""
    file = write_keys(tmp_path / "k", alice={})
    keyring = Keyring(None, file)
    for break_it in (lambda: file.write_text("keys: [{owner: a}]"), file.unlink):
        caplog.clear()
        break_it()
        for _ in range(3):
            keyring.reread_if_changed()
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "stay valid" in caplog.text
        assert owner_of(keyring, secret_of("alice")) == "alice"
    write_keys(file, bob={})
    keyring.reread_if_changed()
    assert [owner_of(keyring, secret_of(owner)) for owner in ("alice", "bob")] == [None, "bob"]


def test_an_unchanged_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look is enough."""
    keyring = Keyring(None, write_keys(tmp_path / "k", alice={}))
    monkeypatch.setattr(module, "read_keys_file", None)
    keyring.reread_if_changed()
    assert owner_of(keyring, secret_of("alice")) == "alice"


def test_a_broken_file_at_the_start(tmp_path: Path) -> None:
    """Nothing was read before: the server does not start."""
    with pytest.raises(StartupError, match="does not exist"):
        Keyring(None, tmp_path / "k")


def test_without_a_file() -> None:
    """There is nothing to follow."""
    keyring = Keyring("simple")
    keyring.watch()
    keyring.reread_if_changed()
    keyring.close()
    assert owner_of(keyring, "simple") == "default"
