"""Responses: replaced while unfinished, owned, shared between servers."""

import asyncio
from dataclasses import replace

from phiserve.store.interface import Store
from stored import NOW, conversation, ids_in, item, items, left_alone, on_store, opened, response


def test_an_unfinished_one_is_replaced(state_url: str) -> None:
    """With all it refers to; items that nothing refers to any more are gone."""

    async def use(store: Store) -> None:
        queued = response(context=["a", "b"], status="queued")
        assert await store.save_response(queued, items("a", "b"))
        done = response(context=["b"], output=["c"])
        assert await store.save_response(done, [item("c"), item("stray")])
        assert await store.response("", "resp_1") == done
        assert await store.items("", ["a", "b", "c", "stray"]) == items("b", "c")

    on_store(state_url, use)


def test_a_finished_one_stays_as_it_is(state_url: str) -> None:
    """Cancelled meanwhile: the answer that comes too late is not stored, nor anything of it."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), [])
        running = response(status="in_progress", conversation="conv_1")
        await store.save_response(running, [])
        cancelled = replace(running, status="cancelled", request=None)
        assert await store.save_response(cancelled, [])
        late = response(output=["a"], conversation="conv_1")
        assert not await store.save_response(late, items("a"))
        assert await store.response("", "resp_1") == cancelled
        assert await store.items("", ["a"]) == ()
        assert await ids_in(store) == []

    on_store(state_url, use)


def test_deleted_while_it_was_unfinished(state_url: str) -> None:
    """It is gone for clients, and whoever works on it learns of it and can't bring it back."""

    async def use(store: Store) -> None:
        await store.save_response(response(context=["a"], status="in_progress"), items("a"))
        assert await store.delete_response("", "resp_1")
        assert not await store.delete_response("", "resp_1")
        assert await store.response("", "resp_1") is None
        assert await store.input_items("", "resp_1", None, 10, "asc") is None
        assert await store.items("", ["a"]) == ()
        assert await store.renew(["resp_1"]) == {"resp_1"}
        assert await store.claim_unfinished(-10, 10) == []
        assert not await store.save_response(response(), [])
        assert await store.response("", "resp_1") is None

    on_store(state_url, use)


def test_deleting_leaves_what_others_refer_to(state_url: str) -> None:
    """A later response goes on with an earlier one's items."""

    async def use(store: Store) -> None:
        await store.save_response(response("first", ["a"], ["b"]), items("a", "b"))
        await store.save_response(response("second", ["a", "b", "c"], ["d"]), items("c", "d"))
        assert await store.delete_response("", "first")
        assert await store.items("", ["a", "b", "c", "d"]) == items("a", "b", "c", "d")
        assert await store.delete_response("", "second")
        assert await store.items("", ["a", "b", "c", "d"]) == ()
        assert not await store.delete_response("", "second")

    on_store(state_url, use)


def test_what_is_gone_is_left_out(state_url: str) -> None:
    """An item that was removed while a response was under way is missing in it, and that is all."""

    async def use(store: Store) -> None:
        assert await store.save_response(response(context=["gone", "a"]), items("a"))
        found = await store.response("", "resp_1")
        assert found is not None
        assert found.context == ("a",)

    on_store(state_url, use)


def test_a_conversation_gets_the_new_items_of_what_has_ended(state_url: str) -> None:
    """Context first, then output; those that came with an earlier save too, and none that was taken out."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), items("old", "out"))
        running = response(context=["old", "out", "in"], status="queued", conversation="conv_1")
        await store.save_response(running, items("in"))
        assert await ids_in(store) == ["old", "out"]
        assert await store.delete_item("", "conv_1", "out")
        done = replace(running, status="completed", request=None, output=("answer",))
        assert await store.save_response(done, items("answer"))
        assert await ids_in(store) == ["old", "in", "answer"]
        assert await store.items("", ["out"]) == items("out")  # the response still refers to it

    on_store(state_url, use)


def test_a_conversation_that_is_gone(state_url: str) -> None:
    """Nothing is stored."""

    async def use(store: Store) -> None:
        assert not await store.save_response(response(context=["a"], conversation="conv_1"), items("a"))
        assert await store.response("", "resp_1") is None
        assert await store.items("", ["a"]) == ()

    on_store(state_url, use)


def test_pages_of_the_context(state_url: str) -> None:
    """In both orders, after an item; nothing comes after one that is not there."""

    async def use(store: Store) -> None:
        await store.save_response(response(context=["a", "b", "c", "d"], output=["e"]), items(*"abcde"))

        async def page(after: str | None, limit: int, order: str) -> tuple[str, bool]:
            found = await store.input_items("", "resp_1", after, limit, "asc" if order == "asc" else "desc")
            assert found is not None
            return "".join(entry.id for entry in found.items), found.has_more

        assert await page(None, 3, "asc") == ("abc", True)
        assert await page(None, 4, "asc") == ("abcd", False)
        assert await page("c", 3, "asc") == ("d", False)
        assert await page(None, 1, "desc") == ("d", True)
        assert await page("c", 2, "desc") == ("ba", False)
        for other in ("e", "nowhere"):
            assert await page(other, 3, "asc") == await page(other, 3, "desc") == ("", False)

    on_store(state_url, use)


def test_renewing(state_url: str) -> None:
    """Those that are unfinished get the time; the others are to be ended."""

    async def use(store: Store) -> None:
        await store.save_response(response("a", status="queued"), [])
        await store.save_response(response("b", status="in_progress"), [])
        await store.save_response(response("c", status="cancelled"), [])
        await left_alone(store)
        assert await store.renew(["a", "c", "never"]) == {"c", "never"}
        assert await store.renew([]) == frozenset()
        claimed = await store.claim_unfinished(500, 10)
        assert [found.id for found in claimed] == ["b"]

    on_store(state_url, use)


def test_saving_says_that_a_server_works_on_it(state_url: str) -> None:
    """Each time, also one that was left alone for so long that others may take it."""

    async def use(store: Store) -> None:
        for status in ("queued", "in_progress"):
            await store.save_response(replace(response(status=status), created_at=NOW - 1000), [])
            assert await store.claim_unfinished(500, 10) == []
            await left_alone(store)

    on_store(state_url, use)


def test_claiming(state_url: str) -> None:
    """Two servers at once get each of twenty responses once, whole and renewed, the oldest first."""

    async def run() -> None:
        servers = [opened(state_url), opened(state_url)]
        for n in range(20):
            left = response(f"resp_{n}", ["a"], status="queued", owner=f"{n % 3}", created_at=NOW - n)
            await servers[0].save_response(left, items("a"))
        await left_alone(servers[0])
        first = await servers[0].claim_unfinished(500, 2)
        assert [found.id for found in first] == ["resp_19", "resp_18"]
        several = await asyncio.gather(*(servers[n % 2].claim_unfinished(500, 3) for n in range(6)))
        rest = await servers[1].claim_unfinished(500, 20)  # a server may have passed over what another held
        claimed = [*first, *(found for some in several for found in some), *rest]
        assert sorted(found.id for found in claimed) == sorted(f"resp_{n}" for n in range(20))
        for found in claimed:
            assert found.context == ("a",)
            assert found.request is not None
        assert await servers[0].claim_unfinished(500, 20) == []
        for server in servers:
            await server.close()

    asyncio.run(run())
