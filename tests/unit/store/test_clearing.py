"""What is too old goes, and the oldest of whoever has too much."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.errors import InvalidRequest
from phiserve.store import clearing as module
from phiserve.store.clearing import used_bytes
from phiserve.store.connections import Connections
from phiserve.store.interface import Store
from phiserve.store.limits import DAY_S, StoreLimits
from phiserve.store.location import locate
from phiserve.store.tables import RESPONSES
from stored import NOW, conversation, ids_in, item, items, on_store, opened, response

MONTH_AGO = NOW - 31 * DAY_S


async def bytes_of(url: str, owner: str) -> int:
    """What an owner has stored, as it is counted."""
    location = locate(url)
    assert location is not None
    connections = Connections(location)
    used = await connections.read(lambda connection: used_bytes(connection, owner))
    await connections.close()
    return used


def test_old_ones_go(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses by when they were made, of all owners; what younger ones refer to stays."""
    monkeypatch.setattr(module, "_BATCH", 2)

    async def use(store: Store) -> None:
        for n in range(5):
            old = response(f"old_{n}", ["a", f"b_{n}"], owner="x", created_at=MONTH_AGO + n)
            await store.save_response(old, items("a", f"b_{n}"))
        await store.save_response(response("other", owner="y", created_at=MONTH_AGO), [])
        await store.save_response(response("young", ["a"], owner="x"), [])
        assert await store.clear_away() == 6
        assert await store.response("x", "old_4") is None
        assert await store.response("y", "other") is None
        assert await store.items("x", ["a", "b_0"]) == items("a")
        assert await store.clear_away() == 0

    on_store(state_url, use)


def test_conversations_that_are_not_used_go(state_url: str) -> None:
    """Each use counts: a change, an item, an answer."""

    async def use(store: Store) -> None:
        for n in range(4):
            await store.create_conversation(conversation(f"conv_{n}", created_at=MONTH_AGO), items(f"a_{n}"))
        await store.update_conversation("", "conv_1", "{}")
        await store.add_items("", "conv_2", items("b"))
        await store.save_response(response(conversation="conv_3"), [])
        assert await store.clear_away() == 1
        left = [n for n in range(4) if await ids_in(store, f"conv_{n}") is not None]
        assert left == [1, 2, 3]
        assert await store.items("", ["a_0"]) == ()

    on_store(state_url, use)


def test_marks_of_deleted_ones_go_after_a_day(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not counted as removed."""
    monkeypatch.setattr(time, "time", lambda: NOW)

    async def rows() -> int:
        location = locate(state_url)
        assert location is not None
        connections = Connections(location)

        async def count(connection: AsyncConnection) -> int:
            return len((await connection.execute(select(RESPONSES.c.key))).all())

        found = await connections.read(count)
        await connections.close()
        return found

    async def use(store: Store) -> None:
        await store.save_response(response(status="queued"), [])
        await store.delete_response("", "resp_1")
        assert await store.clear_away() == 0
        assert await rows() == 1
        monkeypatch.setattr(time, "time", lambda: NOW + DAY_S + 1)
        assert await store.clear_away() == 0
        assert await rows() == 0

    on_store(state_url, use)


def test_a_large_conversation(state_url: str) -> None:
    """Grows to half of what its owner may have; neither it nor what was just stored beside it is lost."""
    limits = StoreLimits(max_bytes_per_owner=10_000)

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(created_at=MONTH_AGO), [])
        for n in range(4):
            assert await store.add_items("", "conv_1", [item(f"a_{n}", "x" * 1000)])
        large, small = item("a_4", "x" * 1000), item("a_5", "x" * 500)
        with pytest.raises(InvalidRequest, match="items: the conversation would have 5") as refused:
            await store.add_items("", "conv_1", [large])
        assert refused.value.code == "conversation_too_large"
        begun = response("begun", ["a_4"], status="in_progress", conversation="conv_1")
        with pytest.raises(InvalidRequest, match="conversation: the conversation would have 5"):
            await store.save_response(begun, [large])
        with pytest.raises(InvalidRequest, match="items: the conversation would have 5"):
            await store.create_conversation(conversation("conv_2"), [item("b", "x" * 5000)])
        assert await store.conversation("", "conv_2") is None
        first = replace(begun, context=("a_5",))
        assert await store.save_response(first, [small])
        ended = replace(first, status="completed", request=None, output=("out",))
        assert await store.save_response(ended, [item("out", "x" * 500)])  # an answer is never refused
        for n in range(8):
            one = item(f"c_{n}", "x" * 1000)
            made = response(f"r_{n}", [one.id], created_at=NOW - 100 + n)
            assert await store.save_response(made, [one])
        await store.clear_away()
        assert await ids_in(store) == ["a_0", "a_1", "a_2", "a_3", "a_5", "out"]
        assert [n for n in range(8) if await store.response("", f"r_{n}")] == [5, 6, 7]
        assert await store.response("", "begun") is not None
        assert await bytes_of(state_url, "") <= 10_000

    on_store(state_url, use, limits)


def test_the_oldest_first_whatever_it_is(state_url: str) -> None:
    """A conversation that was not used for long goes before a response of today."""

    async def fill(store: Store) -> None:
        for age in (1, 2, 3):
            await store.create_conversation(
                conversation(f"conv_{age}", created_at=NOW - 10 * age), [item(f"a_{age}", "x" * 1000)]
            )
            made = response(f"resp_{age}", [f"b_{age}"], created_at=NOW - 10 * age - 5)
            await store.save_response(made, [item(f"b_{age}", "x" * 1000)])

    async def clear(store: Store) -> None:
        assert await store.clear_away() == 3
        assert [age for age in (1, 2, 3) if await ids_in(store, f"conv_{age}")] == [1, 2]
        assert [age for age in (1, 2, 3) if await store.response("", f"resp_{age}")] == [1]

    on_store(state_url, fill)
    on_store(state_url, clear, StoreLimits(max_bytes_per_owner=4500))


def test_whoever_has_too_much_loses_the_oldest(state_url: str) -> None:
    """Responses before conversations of the same age, none that is unfinished, nothing of anybody else's."""

    async def fill(store: Store) -> None:
        for owner, number in (("x", 10), ("y", 5)):
            for n in range(number):
                large = item(f"a_{n}", "x" * 1000)
                made = response(f"{owner}_{n}", [large.id], owner=owner, created_at=NOW - n)
                await store.save_response(made, [large])
        await store.create_conversation(conversation("kept", owner="x"), [item("b", "x" * 1000)])
        await store.create_conversation(conversation("shared", owner="x"), [item("a_9", "x" * 1000)])
        await store.save_response(response("u", owner="x", status="queued", created_at=NOW - 99), [])

    async def clear(store: Store) -> None:
        assert await store.clear_away() == 7
        assert [n for n in range(10) if await store.response("x", f"x_{n}")] == [0, 1, 2]
        assert [n for n in range(5) if await store.response("y", f"y_{n}")] == [0, 1, 2, 3, 4]
        assert await ids_in(store, "shared", "x") == ["a_9"]
        assert await store.response("x", "u") is not None
        assert await bytes_of(state_url, "x") <= 7200

    async def clear_more(store: Store) -> None:
        assert await store.clear_away() == 10
        assert await store.response("x", "x_0") is None
        assert [await ids_in(store, name, "x") for name in ("kept", "shared")] == [None, None]
        assert await bytes_of(state_url, "x") < 1000

    on_store(state_url, fill)
    on_store(state_url, clear, StoreLimits(max_bytes_per_owner=8000))
    on_store(state_url, clear_more, StoreLimits(max_bytes_per_owner=500))


def test_a_file_is_shortened(tmp_path: Path) -> None:
    """SQLite gives back what it does not need any more."""
    file = tmp_path / "state.db"
    url = f"sqlite:///{file}"

    async def fill(store: Store) -> None:
        large = item("a", "x" * 5_000_000)
        await store.save_response(response(context=["a"], created_at=MONTH_AGO), [large])

    async def clear(store: Store) -> None:
        assert await store.clear_away() == 1

    on_store(url, fill)
    assert file.stat().st_size > 5_000_000
    on_store(url, clear)
    assert file.stat().st_size < 500_000


def test_two_servers_clear_at_once(state_url: str) -> None:
    """Each thing is removed once."""

    async def run() -> None:
        servers = [opened(state_url), opened(state_url)]
        for n in range(60):
            await servers[0].save_response(response(f"r_{n}", created_at=MONTH_AGO), [])
        assert sum(await asyncio.gather(*(server.clear_away() for server in servers))) == 60
        for server in servers:
            await server.close()

    asyncio.run(run())
