"""A store does what its interface says, in SQLite and in PostgreSQL."""

import asyncio
from dataclasses import replace

import pytest

from phiserve.errors import StoreFailure
from phiserve.store.interface import Store
from phiserve.store.limits import StoreLimits
from stored import conversation, ids_in, item, items, on_store, opened, response


def test_what_was_stored_is_there_after_a_restart(state_url: str) -> None:
    """As it was, to the last character; images of megabytes too."""
    large = item("msg_1", "é" * 3_000_000)
    whole = response(context=["msg_1"], output=["msg_2"], status="in_progress", conversation="conv_1")

    async def save(store: Store) -> None:
        await store.create_conversation(conversation(), items("msg_0"))
        assert await store.save_response(whole, [large, item("msg_2")])

    async def read(store: Store) -> None:
        assert await store.response("", "resp_1") == whole
        assert await store.items("", ["msg_2", "gone", "msg_1", "msg_2"]) == (
            item("msg_2"),
            large,
            item("msg_2"),
        )
        assert await store.conversation("", "conv_1") == conversation()

    on_store(state_url, save)
    on_store(state_url, read)


def test_another_owner_sees_nothing(state_url: str) -> None:
    """And changes nothing; the same ids of items are other items there."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(owner="a"), [item("msg_0")])
        await store.save_response(response(context=["msg_1"], owner="a"), [item("msg_1")])
        assert await store.response("b", "resp_1") is None
        assert await store.input_items("b", "resp_1", None, 10, "asc") is None
        assert await store.items("b", ["msg_0", "msg_1"]) == ()
        assert await store.conversation("b", "conv_1") is None
        assert await store.conversation_items("b", "conv_1", None, None, "asc") is None
        assert await store.conversation_item("b", "conv_1", "msg_0") is None
        assert not await store.add_items("b", "conv_1", [item("msg_9")])
        assert not await store.update_conversation("b", "conv_1", '{"x":"y"}')
        assert not await store.delete_item("b", "conv_1", "msg_0")
        assert not await store.delete_conversation("b", "conv_1")
        assert not await store.delete_response("b", "resp_1")
        assert not await store.save_response(response(owner="b"), [])
        assert not await store.save_response(response("resp_2", owner="b", conversation="conv_1"), [])
        await store.save_response(response("resp_3", ["msg_1"], owner="b"), [item("msg_1", "other")])
        assert await store.items("a", ["msg_1"]) == (item("msg_1"),)
        assert await store.response("a", "resp_1") == response(context=["msg_1"], owner="a")
        assert await ids_in(store, owner="a") == ["msg_0"]

    on_store(state_url, use)


def test_ids_that_cannot_be(state_url: str) -> None:
    """What a client may send as an id is looked up and not there, whatever a database can be asked about."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), items("msg_1"))
        await store.save_response(response(context=["msg_1"]), [])
        for odd in ("", "\0", "\ud800", "ü", "x" * 100_000, "' OR 1=1"):
            assert await store.response("", odd) is None
            assert not await store.delete_response("", odd)
            assert await store.conversation("", odd) is None
            assert await store.items("", [odd]) == ()
            assert await store.conversation_item("", "conv_1", odd) is None
            page = await store.input_items("", "resp_1", odd, 10, "asc")
            assert page is not None
            assert page.items == ()

    on_store(state_url, use)


def test_many_items(state_url: str) -> None:
    """More than a statement can name."""
    ids = [f"msg_{n}" for n in range(2500)]

    async def use(store: Store) -> None:
        assert await store.save_response(response(context=ids), items(*ids))
        found = await store.response("", "resp_1")
        assert found is not None
        assert found.context == tuple(ids)
        assert await store.items("", ids) == items(*ids)
        assert await store.delete_response("", "resp_1")
        assert await store.items("", ids) == ()

    on_store(state_url, use)


def test_writes_at_once(state_url: str) -> None:
    """Forty saves that add to one conversation, at two servers: all are in it, each once and whole."""

    async def run() -> None:
        servers = [opened(state_url), opened(state_url)]
        await servers[0].create_conversation(conversation(), [])
        saves = [
            servers[n % 2].save_response(
                response(f"resp_{n}", [f"in_{n}"], [f"out_{n}"], conversation="conv_1"),
                items(f"in_{n}", f"out_{n}"),
            )
            for n in range(40)
        ]
        assert await asyncio.gather(*saves) == [True] * 40
        found = await ids_in(servers[1]) or []
        pairs = list(zip(found[::2], found[1::2], strict=True))
        assert sorted(pairs) == sorted((f"in_{n}", f"out_{n}") for n in range(40))
        for server in servers:
            await server.close()

    asyncio.run(run())


def test_items_are_never_missing(state_url: str) -> None:
    """One server removes what another is about to refer to: no response is left with half its context."""

    async def run() -> None:
        servers = [opened(state_url), opened(state_url)]
        for n in range(20):
            first = response(f"first_{n}", [f"msg_{n}"])
            await servers[0].save_response(first, items(f"msg_{n}"))
            second = response(f"second_{n}", [f"msg_{n}", f"more_{n}"])
            results = await asyncio.gather(
                servers[0].delete_response("", first.id),
                servers[1].save_response(second, items(f"msg_{n}", f"more_{n}")),
            )
            assert all(results)
            assert await servers[0].response("", second.id) == second
            assert await servers[0].items("", second.context) == items(*second.context)
        for server in servers:
            await server.close()

    asyncio.run(run())


def test_a_caller_that_is_cancelled(state_url: str) -> None:
    """What it asked for is done all the same, whole, and the store goes on."""

    async def use(store: Store) -> None:
        await store.response("", "resp_1")  # a connection is there
        for n in range(10):
            saving = asyncio.ensure_future(
                store.save_response(response(f"resp_{n}", [f"msg_{n}"]), items(f"msg_{n}"))
            )
            for _ in range(n):
                await asyncio.sleep(0)
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving
        assert await store.save_response(response("last"), [])  # waits for its turn behind all of them

    async def read(store: Store) -> None:
        for n in range(10):
            found = await store.response("", f"resp_{n}")
            assert found is None or await store.items("", found.context) == items(f"msg_{n}")
        assert await store.response("", "resp_9") == response("resp_9", ["msg_9"])

    on_store(state_url, use)
    on_store(state_url, read)


def test_saving_makes_room(state_url: str) -> None:
    """The oldest goes when there is too much; what has just been stored never does, however large."""
    limits = StoreLimits(max_bytes_per_owner=10_000)

    async def use(store: Store) -> None:
        for n in range(12):
            large = item(f"msg_{n}", "x" * 1000)
            assert await store.save_response(response(f"resp_{n}", [large.id]), [large])
        left = [n for n in range(12) if await store.response("", f"resp_{n}") is not None]
        assert left == list(range(left[0], 12))
        assert 5 <= len(left) <= 9
        huge = item("msg_huge", "x" * 20_000)
        assert await store.save_response(response("huge", ["msg_huge"]), [huge])
        assert await store.items("", ["msg_huge", "msg_11"]) == (huge,)
        await store.create_conversation(conversation(), items("msg_1"))
        assert await store.response("", "huge") is None
        assert await ids_in(store) == ["msg_1"]

    on_store(state_url, use, limits)


def test_a_failure_to_make_room_is_not_one_to_save(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is stored."""

    async def use(store: Store) -> None:
        async def fail(owner: str) -> int:
            raise StoreFailure(owner)

        monkeypatch.setattr(store, "_used_bytes", fail)
        assert await store.save_response(response(), [])
        monkeypatch.undo()
        assert await store.response("", "resp_1") == replace(response())

    on_store(state_url, use)
