"""Conversations: their items in order, each once, shared with responses."""

from phiserve.store.interface import Store
from stored import conversation, ids_in, item, items, on_store, response


def test_items_are_appended(state_url: str) -> None:
    """In their order; one that is in it already stays where it is, with its new payload."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), items("a", "b"))
        assert await store.add_items("", "conv_1", [item("c"), item("a", "new"), item("c")])
        assert await ids_in(store) == ["a", "b", "c"]
        assert await store.conversation_item("", "conv_1", "a") == item("a", "new")
        assert not await store.add_items("", "conv_2", items("d"))

    on_store(state_url, use)


def test_pages(state_url: str) -> None:
    """In both orders; without a limit all of them."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), items("a", "b", "c"))
        first = await store.conversation_items("", "conv_1", None, 2, "asc")
        assert first is not None
        assert (first.items, first.has_more) == (items("a", "b"), True)
        rest = await store.conversation_items("", "conv_1", "b", None, "asc")
        assert rest is not None
        assert (rest.items, rest.has_more) == (items("c"), False)
        back = await store.conversation_items("", "conv_1", "c", 5, "desc")
        assert back is not None
        assert (back.items, back.has_more) == (items("b", "a"), False)
        assert await store.conversation_items("", "conv_2", None, 2, "asc") is None

    on_store(state_url, use)


def test_metadata_is_replaced(state_url: str) -> None:
    """Where the conversation is there."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), [])
        assert await store.update_conversation("", "conv_1", '{"topic":"é"}')
        found = await store.conversation("", "conv_1")
        assert found is not None
        assert found.metadata == '{"topic":"é"}'
        assert not await store.update_conversation("", "conv_2", "{}")

    on_store(state_url, use)


def test_taking_an_item_out(state_url: str) -> None:
    """It is removed, unless something else refers to it; the next one is appended at the end."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), items("a", "b", "c"))
        await store.save_response(response(context=["b"]), [])
        assert await store.delete_item("", "conv_1", "b")
        assert await store.delete_item("", "conv_1", "c")
        assert not await store.delete_item("", "conv_1", "c")
        assert not await store.delete_item("", "conv_1", "never")
        assert await store.conversation_item("", "conv_1", "b") is None
        assert await store.items("", ["a", "b", "c"]) == items("a", "b")
        await store.add_items("", "conv_1", items("b", "d"))
        assert await ids_in(store) == ["a", "b", "d"]

    on_store(state_url, use)


def test_deleting(state_url: str) -> None:
    """Its items go with it, except those of responses, which stay."""

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), items("a", "b"))
        answer = response(context=["a"], output=["c"], conversation="conv_1")
        await store.save_response(answer, items("c"))
        assert await store.delete_conversation("", "conv_1")
        assert not await store.delete_conversation("", "conv_1")
        assert await ids_in(store) is None
        assert await store.conversation("", "conv_1") is None
        assert await store.response("", "resp_1") == answer
        assert await store.items("", ["a", "b", "c"]) == items("a", "c")

    on_store(state_url, use)
