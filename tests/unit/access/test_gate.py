"""Visits are kept to what their key may ask for."""

import asyncio
from pathlib import Path

import pytest

from key_files import secret_of, write_keys, write_two_keys
from phiserve.access.budgets import Budgets
from phiserve.access.gate import Gate
from phiserve.access.key import Key
from phiserve.access.keyring import Keyring
from phiserve.access.visit import REFUSED
from phiserve.core import Detail, ImagePlaceholder
from phiserve.errors import RateLimitReached


def gate_of(folder: Path, **limits: object) -> tuple[Gate, Key]:
    """A gate that knows one key with these limits, and the key."""
    gate = Gate(Keyring(None, write_keys(folder / "k", alice=limits)), Budgets())
    key = gate.key_of(secret_of("alice").encode())
    assert key is not None
    return gate, key


def images(*details: Detail) -> list[ImagePlaceholder]:
    """Images of a request, called p0, p1, …"""
    return [ImagePlaceholder("data:,", detail, f"p{number}") for number, detail in enumerate(details)]


def refused(reason: str) -> float:
    """Requests refused for this reason so far."""
    return float(REFUSED.labels(reason)._value.get())


def test_salts(tmp_path: Path) -> None:
    """One for each owner, whichever of the owner's keys is used; another gate has others."""
    file = write_keys(tmp_path / "k", alice={}, bob={})
    gates = [Gate(Keyring("simple", file), Budgets()) for _ in range(2)]

    async def salt(gate: Gate, secret: str) -> str | None:
        key = gate.key_of(secret.encode())
        assert key is not None
        async with gate.enter(key) as visit:
            return visit.cache_salt

    async def run() -> list[str | None]:
        secrets = ("simple", secret_of("alice"), secret_of("bob"))
        return [await salt(gate, secret) for gate in gates for secret in secrets]

    salts = asyncio.run(run())
    assert len({*salts}) == 6
    assert None not in salts
    assert asyncio.run(salt(gates[0], "simple")) == salts[0]


def test_unknown_keys_are_counted(tmp_path: Path) -> None:
    """By the metric for refusals."""
    gate, _ = gate_of(tmp_path)
    before = refused("key")
    assert gate.key_of(b"wrong") is None
    assert refused("key") == before + 1


def test_the_key_of_a_batch(tmp_path: Path) -> None:
    """The one that asked for it, or another of its owner's; nobody else's."""
    gate = Gate(Keyring("simple", write_two_keys(tmp_path / "keys", "alice", {}, {})), Budgets())
    first, second = (gate.key_of(secret_of(name).encode()) for name in ("first", "second"))
    assert first is not None
    assert second is not None
    assert gate.key_of_batch("alice", second.id) is second
    for key_id in (None, "0" * 12):
        assert gate.key_of_batch("alice", key_id) is first
    for owner in ("bob", ""):
        assert gate.key_of_batch(owner, second.id) is None


def test_concurrent_requests(tmp_path: Path) -> None:
    """One too many is refused at once, and counts as none; when one has ended there is room again."""
    gate, key = gate_of(tmp_path, concurrent_requests=2)

    async def run() -> None:
        async with gate.enter(key), gate.enter(key):
            for _ in range(3):
                with pytest.raises(RateLimitReached, match="limit is 2 at once"):
                    await gate.enter(key).__aenter__()
        with pytest.raises(KeyError):
            async with gate.enter(key):
                raise KeyError
        async with gate.enter(key) as first, gate.enter(key):
            for _ in range(2):
                first.only_follows()  # one place, however often it is given back
            async with gate.enter(key):
                with pytest.raises(RateLimitReached):
                    await gate.enter(key).__aenter__()
        async with gate.enter(key), gate.enter(key):
            pass
        assert not gate._running

    asyncio.run(run())
