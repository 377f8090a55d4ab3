"""What a server looks after while it runs: what it is receiving, and what is to be removed."""

import asyncio
from collections.abc import Sequence

import pytest

from kept_files import IMAGE_FILE, Place, content_of, kept, on_files
from phiserve.errors import StoreFailure
from phiserve.files import keeping
from phiserve.files.blobs import SEGMENT_BYTES
from phiserve.files.keeping import STALE_S, FileKeeper
from unit.files.test_keeping import CONTENT, settled


def test_tending(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this server receives stays, what a server received that is gone does not."""
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)

    async def use(keeper: FileKeeper) -> None:
        nonlocal now
        await keeper.records.begin_blob("left")
        await keeper._blobs.write("left", 0, b"half")
        async with keeper.receiving("", 10**9) as draft:
            await draft.add(CONTENT)
            for _ in range(4):
                assert any("left" in name for name in place.contents()) == (now < 1_800_000_000 + STALE_S)
                now += STALE_S // 2
                await keeper.renew()
                await keeper.clear_away()
            file = await keeper.keep("", IMAGE_FILE, await draft.end())
        assert await content_of(keeper, file) == CONTENT
        await settled(keeper)
        assert await keeper.records.dead_blobs() == []

    on_files(place, use)


def test_a_clock_that_jumps(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes nothing that this server receives, however far it jumps."""
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)

    async def use(keeper: FileKeeper) -> None:
        nonlocal now
        async with keeper.receiving("", 10**9) as draft:
            await draft.add(CONTENT)
            for jump in (3600, -7200):
                now += jump
                await keeper.clear_away()
            file = await keeper.keep("", IMAGE_FILE, await draft.end())
        assert await content_of(keeper, file) == CONTENT

    on_files(place, use)


def test_it_tends_by_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, also after it failed."""
    monkeypatch.setattr(keeping, "TEND_S", 0)

    async def use(keeper: FileKeeper) -> None:
        failures = 0
        delete = keeper._blobs.delete

        async def fails_twice(name: str) -> None:
            nonlocal failures
            failures += 1
            if failures < 3:
                raise StoreFailure("no answer")
            await delete(name)

        monkeypatch.setattr(keeper._blobs, "delete", fails_twice)
        await keeper.records.begin_blob("left")
        await keeper.records.give_up_blob("left")
        keeper.begin()
        while await keeper.records.dead_blobs():
            await asyncio.sleep(0)
        assert failures == 3

    on_files(place, use)


def test_a_content_that_cannot_be_removed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps no other from being removed, whatever it fails with; a slow one keeps none from coming."""
    monkeypatch.setattr(keeping, "TEND_S", 0)

    async def use(keeper: FileKeeper) -> None:
        delete, renew, renewed = keeper._blobs.delete, keeper.records.renew_blobs, asyncio.Event()

        async def fails(name: str) -> None:
            if name == "a":
                raise StoreFailure("no answer")
            if name == "b":
                raise ValueError("a fault of ours")
            if name == "d":
                await renewed.wait()
            await delete(name)

        async def told(names: Sequence[str]) -> None:
            await renew(names)
            if not await keeper.records.dead_blobs("c"):
                raise AssertionError("d is removed only after this")
            renewed.set()

        monkeypatch.setattr(keeper._blobs, "delete", fails)
        for name in "abcd":
            await keeper.records.begin_blob(name)
            await keeper.records.give_up_blob(name)
        async with keeper.receiving("", 10**9):
            monkeypatch.setattr(keeper.records, "renew_blobs", told)
            keeper.begin()
            while await keeper.records.dead_blobs() != ["a", "b"]:
                await asyncio.sleep(0)
        assert renewed.is_set()

    on_files(place, use)


def test_given_up_by_another(place: Place) -> None:
    """A server that stood still for so long that another removed what it received keeps nothing of it."""

    async def use(keeper: FileKeeper) -> None:
        async with keeper.receiving("", 10**9) as draft:
            await draft.add(CONTENT[:SEGMENT_BYTES])
            await keeper.clear_away(stale_s=0)
            await draft.add(CONTENT[:SEGMENT_BYTES])
            whole = await draft.end()
            with pytest.raises(StoreFailure, match="given up while"):
                await keeper.keep("", IMAGE_FILE, whole)
        await settled(keeper)
        assert place.contents() == []

    on_files(place, use)


def test_removing_is_tried_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever tends, where the place did not answer; until then it is on record."""

    async def use(keeper: FileKeeper) -> None:
        async def fails(name: str) -> None:
            raise StoreFailure("no answer")

        file = await kept(keeper, b"a")
        with monkeypatch.context() as patch:
            patch.setattr(keeper._blobs, "delete", fails)
            assert await keeper.delete("", file.id)
            await settled(keeper)
        assert await keeper.records.dead_blobs() == [file.blob]
        await keeper.clear_away()
        assert place.contents() == []
        assert await keeper.records.dead_blobs() == []

    on_files(place, use)
